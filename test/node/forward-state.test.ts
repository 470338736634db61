/** What a forwarder, or an import, has written down is of one stream; and the batch on its way it is that batch, or nobody takes it for sent. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { State } from "../../src/cli/forward/state.ts";
import { State as Import } from "../../src/cli/import/state.ts";
import { Usage } from "../../src/cli/output.ts";
import { changed, missing, placesOf } from "../cases/damage.ts";

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

describe("what was kept by an older release, or was edited", () => {
  const progress = join(folder, "progress");
  const zero = { bytes: 0, lines: 0 };
  const counts = { imported: 0, duplicates: 0, rejected: 0, skipped: 0, ignored: 0 };
  const mark = { bytes: 0, hash: "" };
  const own = {
    options: { key: "id" },
    producer: "p",
    sequence: 2,
    startedAt: 0,
    bytesMax: 1,
    place: zero,
    head: mark,
  };
  const fresh = { ...own, before: mark, counts, tails: { 0: 1 }, columns: ["a"], sending: 1, done: false, ...goal };
  const position = { dev: "1", inode: "2", offset: 3, head: "h", near: "n", inside: true, name: "x" };
  const forwarded = {
    ...{
      version: 2,
      ...goal,
      producer: "f",
      sequence: 4,
      positions: { "/a": [position], b: { inode: 1, offset: 2, head: "h" } },
    },
    ...{ pending: { "/a": [position] }, batch: "batch-2", sum: [64, 7], part: [0, 1, 2] },
  };
  const kept = {
    import: { path: progress, saved: fresh as object, open: () => void Import.open(progress, fresh) },
    forward: { path: join(folder, "state.json"), saved: forwarded as object, open: () => void opened() },
  };
  const tryOut = (which: keyof typeof kept, saved: unknown): unknown => {
    const { path, open } = kept[which];
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, typeof saved === "string" ? saved : JSON.stringify(saved));
    try {
      open();
      return undefined;
    } catch (error) {
      return error;
    }
  };

  test.each(["import", "forward"] as const)("%s: as it was, it is taken", (which) => {
    expect(tryOut(which, kept[which].saved)).toBeUndefined();
  });

  test.each([
    ["import", undefined],
    ["import", null],
    ["import", ""],
    ["forward", undefined],
    ["forward", null],
    ["forward", ""],
  ] as const)("%s: a log id that is %j is told, with what to do", (which, logId) => {
    const { path, saved } = kept[which];
    const anew = which === "import" ? /; or remove it, to import all of the file anew/ : /; or give another --state/;
    const error = tryOut(which, { ...saved, logId }) as Error;
    expect(error).toBeInstanceOf(Usage);
    expect(error.message).toContain(`${path} does not say which log it is of (logId)`);
    expect(error.message).toContain(`where the stream 's' was not made anew since, write "logId":"log" into it`);
    expect(error.message).toMatch(anew);
    // What it says helps.
    expect(tryOut(which, { ...saved, logId, ...JSON.parse('{"logId":"log"}') })).toBeUndefined();
    // Of another stream nobody knows the log.
    const other = tryOut(which, { ...saved, logId, stream: "r" }) as Error;
    expect(other.message).toContain("does not say which log it is of");
    expect(other.message).not.toContain("write");
  });

  test.each(["", "{", "[]", "7", "null", '"x"', "{}"])("%j is told, and is no stack", (text) => {
    for (const which of ["import", "forward"] as const) expect(tryOut(which, text), which).toBeInstanceOf(Usage);
  });

  const odd = [null, -1, 0.5, 2 ** 60, "", "x", "../x", true, [], {}, [null], { a: null }, { a: [{}] }, { a: [1] }];
  test.each(["import", "forward"] as const)(
    "%s: whatever a field is, it is taken, or told as something to mend",
    (which) => {
      const { saved } = kept[which];
      let told = 0;
      for (const path of placesOf(saved)) {
        if (path.length === 0) continue;
        for (const one of [...odd, missing]) {
          const error = tryOut(which, changed(saved, path, one));
          if (error === undefined) continue;
          expect(error, `${path.join(".")} = ${JSON.stringify(one)}`).toBeInstanceOf(Usage);
          told++;
        }
      }
      expect(told).toBeGreaterThan(100);
    },
  );
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
