/** The contract names its proofs: each of them is there. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { common } from "../adversary/frame/checks.ts";
import { programs } from "../adversary/programs.ts";

const root = resolve(import.meta.dirname, "../..");
const lines = readFileSync(join(root, "docs/CONTRACT.md"), "utf8").split("\n");

interface Row {
  readonly id: string;
  readonly proofs: readonly string[];
}

const rows: Row[] = lines.flatMap((line) => {
  const [, id, , proofs] = line.split(" | ").length === 3 ? [undefined, ...line.slice(2).split(" | ")] : [];
  return id !== undefined && /^[A-Z]\d+$/.test(id) && proofs !== undefined
    ? [{ id, proofs: proofs.replace(/ \|$/, "").split(" · ") }]
    : [];
});

/** What a program's promises are called. */
const promises = new Set(
  programs.flatMap(({ name, invariants }) => Object.keys({ ...common, ...invariants }).map((one) => `${name}: ${one}`)),
);

/** Whether a test file has a test, or a group of tests, of a title. */
function hasTitle(text: string, title: string): boolean {
  return [`"${title}"`, `'${title}'`, `\`${title}\``].some((quoted) => text.includes(quoted));
}

test("every line of what is promised names a proof", () => {
  const numbered = lines.filter((line) => /^\| [A-Z]\d+ /.test(line));
  expect(rows.length).toBe(numbered.length);
  expect(rows.length).toBeGreaterThan(30);
  expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
  for (const { id, proofs } of rows) expect(proofs.length, id).toBeGreaterThan(0);
});

describe("the proof is there", () => {
  test.for(rows.flatMap(({ id, proofs }) => proofs.map((proof) => [id, proof] as const)))("%s: %s", ([, proof]) => {
    const [, promise] = /^`(.+: .+)`$/.exec(proof) ?? [];
    if (promise !== undefined) {
      expect([...promises]).toContain(promise);
      return;
    }
    const [, file, title] = /^(test\/\S+\.test\.ts)(?: "(.+)")?$/.exec(proof) ?? [];
    expect(file, "a proof is a promise of the adversary, or a test").toBeDefined();
    const text = readFileSync(join(root, file as string), "utf8");
    if (title !== undefined) expect(hasTitle(text, title), title).toBe(true);
  });
});

test("every program of the adversary proves something", () => {
  const named = new Set(rows.flatMap(({ proofs }) => proofs.flatMap((proof) => /^`(\w+):/.exec(proof)?.[1] ?? [])));
  expect([...named].sort()).toEqual(programs.map(({ name }) => name).sort());
});
