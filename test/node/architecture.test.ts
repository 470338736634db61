/** The rules of the house, on the import graph (types included) and on the text. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const list = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
const text = (file: string) => readFileSync(join(root, file), "utf8");

/** Floors of the house: a file imports only from its own folder and from what stands before its floor's folders. */
const floors: string[][] = [
  ["schemas"],
  ["src/lib"],
  ["src/log"],
  ["src/archive", "src/delivery", "src/pipeline", "src/catalog", "src/intake", "src/client"],
  ["src/platform"],
  ["src/objects"],
  ["src/http", "src/queue.ts"],
  ["src/node"],
  ["src/worker-api.ts", "src/cli", "src/page"],
  ["src/worker.ts"],
];
/** The cores: they never wait, read a clock, or name the platform. */
const cores = [
  "schemas",
  "src/lib",
  "src/log",
  "src/archive",
  "src/delivery",
  "src/pipeline",
  "src/catalog",
  "src/intake",
];

const inside = (file: string, folder: string) => file === folder || file.startsWith(`${folder}/`);
const floorOf = (file: string) => floors.findIndex((folders) => folders.some((folder) => inside(file, folder)));
const folderOf = (file: string) => floors.flat().find((folder) => inside(file, folder));

const imports = (file: string): string[] =>
  // Not where a text ends with the word itself.
  [...text(file).matchAll(/(?:from\s+|^import\s+|\bimport\(\s*)"([^"]+)"/gm)].map((match) => match[1]);
const local = (file: string): string[] =>
  imports(file)
    .filter((name) => name.startsWith("."))
    .map((name) => relative(root, resolve(root, dirname(file), name)));

/** Why a file must not import another, if so. */
function forbidden(file: string, target: string): string | undefined {
  if (floorOf(target) < 0) return `${file} imports ${target}, which is outside the house`;
  if (folderOf(file) === folderOf(target)) return undefined;
  if (floorOf(target) < floorOf(file)) return undefined;
  return `${file} imports ${target}, which does not stand below it`;
}

/** What a core's text must not hold. */
const impure =
  /\basync\b|\bawait\b|\bPromise\b|\bDate\.now\b|\bnew Date\(\)|\bRequest\b|\bResponse\b|\bsetTimeout\b|\bMath\.random\b|"cloudflare:|\bcrypto\./;

/** A circle through the files, if there is one. */
function circle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const target of graph.get(file) ?? []) {
      const found = visit(target, [...path, file]);
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

const packages = Object.keys(JSON.parse(text("package.json")).devDependencies as object);

/** Why the adversary, who knows only the documents, must not import something, if so. */
function known(file: string, name: string): string | undefined {
  if (name.startsWith("node:") || packages.includes(name)) return undefined;
  if (name.startsWith(".") && inside(relative(root, resolve(root, dirname(file), name)), "test/adversary"))
    return undefined;
  return `${file} imports ${name}, which no document tells of`;
}

const code = (file: string) => text(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
const house = [...list("schemas"), ...list("src")].filter((file) => file.endsWith(".ts"));
const all = [...house, ...["test", "bench", "scripts"].flatMap(list).filter((file) => file.endsWith(".ts"))];

describe("the house", () => {
  test("imports only go down", () => {
    const broken = house.flatMap((file) => local(file).map((target) => forbidden(file, target)));
    expect(broken.filter((why) => why !== undefined)).toEqual([]);
  });

  test("has no circle, types included", () => {
    expect(circle(new Map(house.map((file) => [file, local(file)])))).toBeUndefined();
  });

  test("has a synchronous core without a clock, chance, or the platform", () => {
    const impureFiles = house.filter((file) => cores.some((core) => inside(file, core)) && impure.test(code(file)));
    expect(impureFiles).toEqual([]);
  });

  test("names the platform only in platform/, objects/ and the worker", () => {
    const named = house.filter((file) => imports(file).some((name) => name.startsWith("cloudflare:")));
    expect(named.filter((file) => !/^src\/(platform|objects|worker)/.test(file))).toEqual([]);
  });

  test("has SQL only in stores", () => {
    const sql = /\b(SELECT|INSERT INTO|DELETE FROM|UPDATE) [a-z_*1]/;
    const found = house.filter((file) => sql.test(code(file)) && !file.endsWith("store.ts"));
    expect(found).toEqual(["src/log/log.ts"]); // The one question that is asked before there are tables.
  });

  test("keeps files below 300 lines, and classes of objects below 150", () => {
    const long = all.filter((file) => !file.startsWith("test/") && text(file).split("\n").length > 301);
    expect(long).toEqual([]);
    const objects = list("src/objects").filter((file) => /extends (DurableObject|Hibernating)/.test(text(file)));
    expect(objects.length).toBeGreaterThan(2);
    expect(objects.filter((file) => text(file).split("\n").length > 151)).toEqual([]);
  });

  test("takes of zod what it uses: by its other names all of it comes into the bundles, a third of what a Worker has to load", () => {
    const whole = /^import \{[^}]*\bz\b[^}]*\} from "zod"/m;
    expect(house.filter((file) => whole.test(code(file)))).toEqual([]);
  });

  test("has no dead file", () => {
    const used = new Set(all.flatMap(local));
    expect(
      house.filter(
        (file) => !used.has(file) && !["src/worker.ts", "src/cli/main.ts", "src/page/page.ts"].includes(file),
      ),
    ).toEqual([]);
  });

  test("has an adversary that knows only the documents", () => {
    const files = all.filter((file) => inside(file, "test/adversary"));
    expect(files.length).toBeGreaterThan(20);
    expect(files.flatMap((file) => imports(file).flatMap((name) => known(file, name) ?? []))).toEqual([]);
  });

  test("has tests that load anew what they mock: files of tests share what they have loaded", () => {
    const mocking = all.filter((file) => inside(file, "test/node") && /\bvi\.mock\(/.test(code(file)));
    expect(mocking.length).toBeGreaterThan(2);
    expect(mocking.filter((file) => !/\bvi\.resetModules\(\)/.test(code(file)))).toEqual([]);
  });

  test("has no broken link in its documents", () => {
    const documents = ["README.md", ...list("docs").filter((file) => file.endsWith(".md"))];
    const broken = documents.flatMap((file) =>
      [...text(file).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map((match) => relative(root, resolve(root, dirname(file), match[1])))
        .filter((target) => !exists(target)),
    );
    expect(broken).toEqual([]);
  });

  test("has documents that lead to nothing but what the package has", () => {
    const packed = ["README.md", "package.json", ...JSON.parse(text("package.json")).files] as string[];
    const documents = ["README.md", ...list("docs").filter((file) => file.endsWith(".md"))];
    const stray = documents.flatMap((file) =>
      [...text(file).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map((match) => relative(root, resolve(root, dirname(file), match[1])))
        .filter((target) => !packed.some((one) => target === one || target.startsWith(`${one}/`))),
    );
    expect(stray).toEqual([]);
  });
});

function exists(path: string): boolean {
  try {
    return readdirSync(join(root, dirname(path))).includes(path.split("/").pop() as string);
  } catch {
    return false;
  }
}

describe("each rule, broken once", () => {
  test("an import upwards, and one sideways", () => {
    expect(forbidden("src/log/log.ts", "src/objects/commit.ts")).toContain("does not stand below");
    expect(forbidden("src/catalog/map.ts", "src/delivery/lanes.ts")).toContain("does not stand below");
    expect(forbidden("src/log/log.ts", "test/cases/log.ts")).toContain("outside the house");
    expect(forbidden("src/objects/commit.ts", "src/log/log.ts")).toBeUndefined();
  });

  test("an adversary that looks into the house, and one that helps itself to its tests", () => {
    const file = "test/adversary/group/model.ts";
    expect(known(file, "../../../src/delivery/lanes.ts")).toContain("no document");
    expect(known(file, "../../http/service.ts")).toContain("no document");
    expect(known(file, "../frame/checks.ts")).toBeUndefined();
    expect(known(file, "node:http")).toBeUndefined();
  });

  test("a circle", () => {
    expect(
      circle(
        new Map([
          ["a", ["b"]],
          ["b", ["c"]],
          ["c", ["b"]],
        ]),
      ),
    ).toEqual(["b", "c", "b"]);
  });

  test.each(["async function f() {}", "const now = Date.now();", 'import x from "cloudflare:workers";'])(
    "%s",
    (line) => {
      expect(impure.test(line)).toBe(true);
    },
  );
});
