/** What a forwarder, or an import, has written down is of one stream; and the batch on its way it is that batch, or nobody takes it for sent. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { State } from "../../src/cli/forward/state.ts";
import { State as Import } from "../../src/cli/import/state.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-state-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const batch = Uint8Array.from({ length: 64 }, (_, index) => index);

const goal = { namespace: "n", stream: "s", logId: "log" };

/** A forwarder that was killed with a batch on its way. */
function killed(): string {
  const state = State.open(folder, goal);
  state.begin(batch, {});
  state.close();
  return join(folder, JSON.parse(readFileSync(join(folder, "state.json"), "utf8")).batch);
}

/** Looked at, and left. */
function opened(of = goal): State {
  const state = State.open(folder, of);
  state.close();
  return state;
}

test("it is there after a death", () => {
  killed();
  expect(Uint8Array.from(opened().pending?.batch ?? [])).toEqual(batch);
});

test.each([
  ["empty", () => new Uint8Array(0)],
  ["cut off", () => batch.subarray(0, 32)],
  ["longer", () => Uint8Array.of(...batch, 1)],
  ["changed", () => batch.map((byte, at) => (at === 5 ? byte ^ 4 : byte))],
])("one that is %s is told, and not sent", (_, become) => {
  const path = killed();
  writeFileSync(path, become());
  const state = opened();
  expect(() => state.pending).toThrow(/batch.* is damaged: it is not the batch that was written down/);
});

test("one of an older release, which knew no sum, is taken unless it is empty", () => {
  const path = killed();
  const { sum: _, ...saved } = JSON.parse(readFileSync(join(folder, "state.json"), "utf8"));
  writeFileSync(join(folder, "state.json"), JSON.stringify(saved));
  const state = opened();
  expect(state.pending?.batch).toHaveLength(64);
  writeFileSync(path, "");
  expect(() => opened().pending).toThrow("is damaged");
});

describe("what is kept is of one stream of one namespace", () => {
  const progress = join(folder, "progress");
  const zero = { bytes: 0, lines: 0 };
  const mark = { bytes: 0, hash: "" };
  const counts = { imported: 0, duplicates: 0, rejected: 0, skipped: 0, ignored: 0 };
  const fresh = { options: {}, producer: "p", sequence: 0, startedAt: 0, bytesMax: 1, place: zero, head: mark };
  const imported = (of: typeof goal) =>
    Import.open(progress, { ...fresh, before: mark, counts, done: false, ...of }).save({ sequence: 1 });
  const forwarded = (of: typeof goal) => opened(of).settle();
  const files = { import: progress, forward: join(folder, "state.json") };

  beforeEach(() => {
    mkdirSync(folder, { recursive: true });
    for (const keep of [imported, forwarded]) keep(goal);
    killed();
  });
  /** As an older release wrote it. */
  const older = () => {
    for (const file of Object.values(files)) {
      const { namespace: _, ...saved } = JSON.parse(readFileSync(file, "utf8"));
      writeFileSync(file, JSON.stringify(saved));
    }
  };
  const namespaceOf = (file: string) => JSON.parse(readFileSync(file, "utf8")).namespace;

  test.each(["imported", "forwarded"] as const)("%s", (which) => {
    const keep = { imported, forwarded }[which];
    const other = { ...goal, namespace: "m" };
    const told = /belongs to the stream 's' of the namespace 'n'; give another --state for 's' of 'm'$/;
    expect(() => keep({ ...other, logId: "log-2" })).toThrow(told);
    expect(() => keep(other)).toThrow(told);
    expect(() => keep({ ...goal, stream: "r" })).toThrow(/belongs to the stream 's'; give another --state for 'r'$/);
    older();
    keep(goal);
    expect(namespaceOf(which === "imported" ? files.import : files.forward)).toBe("n");
    expect(() => keep(other)).toThrow(told);
  });

  test("a log that is another one is told, whether its stream was made anew or is another service's", () => {
    older();
    const other = { ...goal, logId: "log-2" };
    expect(() => imported(other)).toThrow("made anew, or it is another service's, or namespace's: 0 records");
    expect(opened(goal).isOfAnother).toBe(false);
    const state = opened(other);
    expect(state.isOfAnother).toBe(true);
    state.settle();
    expect(opened(other).isOfAnother).toBe(false);
  });
});

test("a line that was torn when it was rejected is no part of the next one", () => {
  const state = State.open(folder, goal);
  const path = join(folder, "rejected.ndjson");
  state.reject(['{"n":1}']);
  writeFileSync(path, `${readFileSync(path, "utf8")}{"n":2`);
  state.reject(['{"n":2}', '{"n":3}']);
  expect(readFileSync(path, "utf8")).toBe('{"n":1}\n{"n":2}\n{"n":3}\n');
  state.close();
});
