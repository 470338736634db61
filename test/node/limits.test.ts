/** What a client can run into stands with the other limits, where `GET /v1/config` shows it, and nowhere else. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../src");
const texts = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !/^(cli|client|page)\//.test(file))
  .map((file) => [file, readFileSync(join(root, file), "utf8")] as const);

/** What stands in a place of the sources: names, and not numbers or constants of a file's own. */
const found = (place: RegExp) =>
  texts.flatMap(([file, text]) => [...text.matchAll(place)].map((match) => `${file}: ${match[1]}`));
const known = /: (limits\.\w+|\w+|[\w.]*config\.\w+)$/;

test.each([
  ["a body is read up to", /await readBody\(\w+, ([^)]+)\)/g, 3],
  ["a body that is kept is read up to", /lengthOf\(\w+, ([^)]+)\)/g, 2],
  ["a refusal names as its limit", /\{ limit: ([\w.]+) \}/g, 5],
  ["a budget has", /= new Budget\(([^,]+), [^,]+\);/g, 4],
])("%s", (_, place, least) => {
  const all = found(place);
  expect(all.length).toBeGreaterThanOrEqual(least);
  const own = all.filter((one) => {
    const [file, name] = one.split(": ");
    const text = texts.find(([other]) => other === file)?.[1] ?? "";
    return !known.test(one) || new RegExp(`const ${name} =`).test(text);
  });
  expect(own).toEqual([]);
});
