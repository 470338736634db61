/** What a forwarder has written down of the batch on its way is that batch, or nobody takes it for sent. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { State } from "../../src/cli/forward/state.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-state-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const batch = Uint8Array.from({ length: 64 }, (_, index) => index);

/** A forwarder that was killed with a batch on its way. */
function killed(): string {
  const state = State.open(folder, "s", "log");
  state.begin(batch, {});
  state.close();
  return join(folder, JSON.parse(readFileSync(join(folder, "state.json"), "utf8")).batch);
}

/** Looked at, and left. */
function opened(): State {
  const state = State.open(folder, "s", "log");
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
