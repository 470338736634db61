/** What an import reads: packed, in other encodings, and CSV as it is written; or why it does not. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Input, markOf } from "../../src/cli/import/input.ts";
import { delimiterOf, formatOf, rowsOf, shapeOf } from "../../src/cli/import/options.ts";
import { csvShape, encodingOf, mustBeLines } from "../../src/cli/import/sniff.ts";
import { strayLine } from "../../src/cli/import/utf8.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-input-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
const file = (content: string | Buffer, name = "rows.csv") => {
  const path = join(folder, `${count++}-${name}`);
  writeFileSync(path, content);
  return path;
};
const all = async (chunks: AsyncIterable<Buffer>) => {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
};
const start = { bytes: 0, lines: 0 };
const read = async (content: string | Buffer, encoding?: string, name?: string) =>
  (await all((await Input.open(file(content, name), encoding)).from(start))).toString();

describe("what is packed", () => {
  const long = Buffer.from(Array.from({ length: 200_000 }, (_, n) => `${n},${n ** 2 % 9_973}\n`).join(""));

  test("with gzip is told by its first bytes, whatever its name", async () => {
    expect(await read(gzipSync("a,b\n"), undefined, "rows.csv")).toBe("a,b\n");
    expect(await read("a,b\n", undefined, "rows.csv.gz")).toBe("a,b\n");
    await expect(read("", undefined, "rows.csv.gz")).rejects.toThrow("is empty");
  });

  test.each([0, 1, 2, 100_000])("is read to the end of its last member, of zeros too: %i of them", async (zeros) => {
    const halves = [long.subarray(0, 700_000), long.subarray(700_000)].map((half) => gzipSync(half, { level: 1 }));
    expect(await read(Buffer.concat([...halves, gzipSync(""), Buffer.alloc(zeros)]))).toBe(long.toString());
  });

  test.each([
    ["lies in the same chunk", Buffer.from("more\n")],
    ["begins like padding", Buffer.from("\0more\n")],
    ["is far behind", Buffer.concat([Buffer.alloc(2_000_000), Buffer.from("x")])],
  ])("is refused where something that %s is behind it", async (_, behind) => {
    await expect(read(Buffer.concat([gzipSync(long), behind]))).rejects.toThrow(/behind/);
  });

  test("is refused where it is cut off, or damaged", async () => {
    const packed = gzipSync(long);
    for (const end of [5, 12, 1_000, packed.length - 9, packed.length - 1]) {
      await expect(read(packed.subarray(0, end))).rejects.toThrow("cut off");
    }
    packed[packed.length - 6] ^= 1;
    await expect(read(packed)).rejects.toThrow("damaged");
  });

  test.each([
    ["28b52ffd", "zstd -dc"],
    ["425a6839314159265359", "bzip2 -dc"],
    ["fd377a585a00", "xz -dc"],
    ["504b0304", "unzip -p"],
    ["04224d18", "lz4 -dc"],
    ["50415231", "duckdb"],
  ])("otherwise (%s) is refused with the command that unpacks it", async (magic, command) => {
    await expect(read(Buffer.from(`${magic}00000000000000000000000000`, "hex"))).rejects.toThrow(
      new RegExp(`${command}.* \\| millrace import`),
    );
  });
});

describe("encodings", () => {
  const utf16 = (text: string, big = false) => {
    const bytes = Buffer.from(text, "utf16le");
    return big ? bytes.swap16() : bytes;
  };

  test("a byte order mark tells them", async () => {
    expect(await read("\ufeffa,ü\n")).toBe("\ufeffa,ü\n");
    expect(await read(utf16("\ufeffa,ü\n"))).toBe("a,ü\n");
    expect(await read(utf16("\ufeffa,ü\n", true))).toBe("a,ü\n");
    expect(await read(gzipSync(utf16("\ufeffa,ü\n")))).toBe("a,ü\n");
    await expect(read(Buffer.from("fffe000061000000", "hex"))).rejects.toThrow("iconv -f UTF-32 -t UTF-8");
  });

  test("without one they are said", async () => {
    await expect(read(utf16("name,at\nA,1\n"))).rejects.toThrow("--encoding utf-16le");
    await expect(read(utf16("name,at\nA,1\n", true))).rejects.toThrow("--encoding utf-16be");
    expect(await read(utf16("name,at\n"), "utf-16le")).toBe("name,at\n");
    const western = Buffer.from([0x4a, 0x6f, 0x73, 0xe9, 0x92, 0x80, 0x0a]);
    for (const name of ["windows-1252", "latin1", "iso-8859-1"]) expect(await read(western, name)).toBe("José’€\n");
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    // As this version of Node knows it, too.
    expect(await read(every, "windows-1252")).toBe(new TextDecoder("windows-1252").decode(every));
    expect(await read(Buffer.from([0x83, 0x65, 0x83, 0x58, 0x83, 0x67]), "shift_jis")).toBe("テスト");
    expect(await read("\ufeffü", "utf-8")).toBe("\ufeffü");
    await expect(read("a", "klingon")).rejects.toThrow("--encoding klingon is not known");
    await expect(read(Buffer.from("a,b\nx"), "utf-16le")).rejects.toThrow("is not utf-16le");
  });

  test("whatever is decoded or unpacked can be read from every place", async () => {
    const content = Array.from({ length: 40_000 }, (_, n) => `${n},ü\n`).join("");
    const bytes = Buffer.from(content);
    const paths = [file(content), file(gzipSync(content)), file(utf16(`\ufeff${content}`))];
    for (const path of paths) {
      for (const at of [1, 300, bytes.length - 2, bytes.length]) {
        const place = { bytes: bytes.lastIndexOf(10, at - 1) + 1, lines: 0 };
        const first = await Input.open(path);
        for await (const _ of first.from(start)) if (place.bytes === 0) break;
        const marked = {
          place,
          head: first.head,
          before: markOf(bytes.subarray(Math.max(0, place.bytes - 1_024), place.bytes)),
        };
        const rest = await all((await Input.open(path)).from(place, marked));
        expect(rest.equals(bytes.subarray(place.bytes))).toBe(true);
      }
    }
  });

  test("a file that is not all UTF-8 is found out, with the line", async () => {
    const input = await Input.open(file(Buffer.from("a\nb\n\xe9\nc\n", "latin1")));
    await expect(input.check(start)).rejects.toThrow(/^line 3 of .*--encoding/);
    await expect(input.check({ bytes: 2, lines: 1 })).rejects.toThrow(/^line 3 of/);
    await input.check({ bytes: 6, lines: 3 });
    const packed = await Input.open(file(gzipSync(Buffer.from("a\nb\n\xe9\nc\n", "latin1"))));
    await expect(packed.check({ bytes: 6, lines: 3 })).rejects.toThrow(/^line 3 of/);
  });

  test("the first byte that is of no UTF-8 is found in any pieces", async () => {
    const part = fc.oneof(
      fc.string({ unit: "grapheme" }).map((text) => Buffer.from(`${text}\n`)),
      fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part), fc.integer({ min: 1, max: 9 }), async (parts, size) => {
        const content = Buffer.concat(parts);
        async function* pieces() {
          for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
        }
        let expected: number | undefined;
        for (let end = content.length; end >= 0; end--) {
          // Whole so far, or only begun at its end: what follows decides.
          try {
            new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content.subarray(0, end), {
              stream: end < content.length,
            });
            break;
          } catch {
            expected = end - 1;
          }
        }
        const line = await strayLine(pieces);
        expect(line === undefined).toBe(expected === undefined);
        if (expected === undefined) return;
        const lines = content.subarray(0, expected).filter((byte: number) => byte === 10).length;
        expect(line).toBe(lines + 1);
      }),
    );
  });
});

describe("CSV's shape", () => {
  const shape = (text: string, usual = ",", said = false) => csvShape(Buffer.from(text), usual, said);

  test("another delimiter than the usual one is refused by name", () => {
    expect(() => shape("id;name;total\n1;a,b;2\n")).toThrow("say --delimiter ';'");
    expect(() => shape("id;name;total\n1;a,b;2\n")).toThrow("id;name;total");
    expect(() => shape("a\tb\n1\t2\n")).toThrow("say --delimiter '\\t'");
    expect(() => shape("a|b")).toThrow("--delimiter '|'");
    expect(() => shape("a,b\n", "\t")).toThrow("say --delimiter ','");
    expect(() => shape('"a,b";c\n')).toThrow("--delimiter ';'");
    expect(shape("id;name\n", ",", true)).toEqual({ delimiter: ",", skipped: 0 });
    expect(shape("\n\nid,name;x\n")).toEqual({ delimiter: ",", skipped: 0 });
    expect(shape('"a;b\n|"\n')).toEqual({ delimiter: ",", skipped: 0 });
    expect(shape("name\n1;2\n")).toEqual({ delimiter: ",", skipped: 0 });
    expect(shape("")).toEqual({ delimiter: ",", skipped: 0 });
  });

  test("a first line may say it", () => {
    expect(shape("sep=;\r\na;b\r\n")).toEqual({ delimiter: ";", skipped: 7 });
    expect(shape('"sep=\t"\na\tb\n')).toEqual({ delimiter: "\t", skipped: 8 });
    expect(shape("sep=;\na,b\n", ",", true)).toEqual({ delimiter: ",", skipped: 6 });
  });

  test("what is not in lines is refused with the command that puts it there", () => {
    const lines = (text: string, isJson = false) => mustBeLines(Buffer.from(text), "f", isJson);
    expect(() => lines("a,b\r1,2\r")).toThrow("tr '\\r' '\\n' < f | millrace import");
    expect(() => lines("1\r2", true)).toThrow("tr '\\r' '\\n'");
    expect(() => lines('[\n  {"a":1}\n]\n', true)).toThrow("jq -c '.[]' f | millrace import");
    expect(() => lines(' {\r\n  "a":1\r\n}\r\n', true)).toThrow("jq -c . f");
    for (const text of ["", "a,b\r\n1,2\r\n", "1\r", "[\n"]) lines(text);
    for (const text of ["", '{"a":1}\n', "[1]\r\n[2]\r\n", "1\r"]) lines(text, true);
  });

  test("JSON over several lines is told from rows, whole or bad, by what its first line leaves open", () => {
    const of = (text: string) => () => mustBeLines(Buffer.from(text), "f", true);
    const values = [[{ a: 1 }, { a: ']}"[' }, 3], { a: 1, b: [1, [2]] }, [[1], [2]], { a: { b: "é\n" } }];
    for (const value of values) {
      const refused = Array.isArray(value) ? "jq -c '.[]' f" : "jq -c . f";
      for (const space of [1, 2, "\t"]) expect(of(`${JSON.stringify(value, null, space)}\n`)).toThrow(refused);
      const text = JSON.stringify(value);
      // At any comma between values, or before it.
      for (const end of [",\n", "\n,", ",\r\n  "]) {
        const broken = text.replace(/,(?=[{["\d])/, end);
        if (broken !== text) expect(of(`\n${broken}\n`)).toThrow(refused);
      }
    }
    expect(of('[{"a":1},\n{"a":2},\n{"a":3}]\n')).toThrow("jq -c '.[]' f | millrace import");
    expect(of('{"a":1,\n"b":2}\n')).toThrow("jq -c . f");
    expect(of(`[{"a":1},\n${'{"a":2},\n'.repeat(10_000)}`.slice(0, 65_536))).toThrow("jq -c '.[]' f");
    expect(of(`[{"a":1}\n${',{"a":2}\n'.repeat(10_000)}`.slice(0, 65_536))).toThrow("jq -c '.[]' f");
    for (const bad of [
      '{"a":1,\n{"a":2}\n',
      "[1,\n[2]\n",
      '{"a":"[\n{"a":2}\n',
      '[INFO] x\n{"a":1}\n',
      '{"a":[1}\n',
      '{"a":1,',
    ])
      expect(of(bad)).not.toThrow();
    expect(of(`{"a":1,\n${'{"a":2}\n'.repeat(10_000)}`.slice(0, 65_536))).not.toThrow();
  });

  test("UTF-16 and UTF-32 without a mark are told, however short, and with letters beyond ASCII", () => {
    const told = (bytes: Buffer) => () => encodingOf(bytes, "f");
    for (const text of ['{"a":"é😀"}\r\n{"a":2}\n', '"😀"', "1", `{"a":"${"漢字".repeat(500)}"}\n`, "a,b\n1,2\n"]) {
      expect(told(Buffer.from(text))()).toBeUndefined();
      const little = Buffer.from(text, "utf16le");
      expect(told(little)).toThrow("say --encoding utf-16le");
      expect(told(Buffer.from(little).swap16())).toThrow("say --encoding utf-16be");
      const wide = Buffer.alloc(4 * [...text].length);
      for (const [index, letter] of [...text].entries()) wide.writeUInt32LE(letter.codePointAt(0) as number, 4 * index);
      expect(told(wide)).toThrow("iconv -f UTF-32");
      expect(told(Buffer.from(wide).swap32())).toThrow("iconv -f UTF-32");
    }
  });

  test("what is no delimiter is refused, and not looked for in vain", () => {
    for (const [said, delimiter] of [
      ["tab", "\t"],
      ["TAB", "\t"],
      ["\\t", "\t"],
      ["semicolon", ";"],
      [";", ";"],
      ["||", "||"],
      ["¦", "¦"],
      ["x", "x"],
    ] as const)
      expect(delimiterOf(said)).toBe(delimiter);
    for (const said of ["\n", "\r\n", '"', ';"']) expect(() => delimiterOf(said)).toThrow("no line end and no quote");
    for (const said of ["colon", "tabs", "ab1"]) expect(() => delimiterOf(said)).toThrow(`'${said}' is a word`);
  });

  const rows = async (content: string | Buffer, options: Parameters<typeof rowsOf>[3] = {}) => {
    const path = file(content);
    const input = await Input.open(path);
    const { begin, ...shape } = shapeOf(formatOf(undefined, path, options), input, options, false);
    const found: unknown[] = [];
    for await (const page of rowsOf("csv", input.from(begin), begin, { ...options, ...shape })) {
      for (const { line, json } of page) found.push([line, JSON.parse(Buffer.from(json).toString())]);
    }
    return found;
  };

  test("what it tells is passed over, in lines and bytes", async () => {
    for (const mark of ["", "\ufeff"]) {
      expect(await rows(`${mark}sep=;\r\nä;b\r\n1;2\r\n`)).toEqual([[3, { ä: "1", b: "2" }]]);
    }
    expect(await rows(Buffer.from("\ufeffsep=;\nä;b\n1;2\n", "utf16le"))).toEqual([[3, { ä: "1", b: "2" }]]);
  });

  test("a column that is not there was misspelt", async () => {
    await expect(rows("id,name\n1,a\n", { key: "Id" })).rejects.toThrow(
      "--key: there is no column 'Id'; there are: id, name",
    );
    await expect(rows("id,name\n1,a\n", { tag: ["=all", "nmae"] })).rejects.toThrow("--tag: there is no column 'nmae'");
    expect(await rows("id,name\n1,a\n", { key: "id", type: "=x" })).toHaveLength(1);
  });
});

test("a pipe that has a name is read as it comes", async () => {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const written = writeFile(path, gzipSync("a,b\n1,2\n"));
  const input = await Input.open(path);
  await input.check(start);
  expect((await all(input.from(start))).toString()).toBe("a,b\n1,2\n");
  await written;
});

test("files that are not there, and folders, are told as they are", async () => {
  await expect(Input.open(join(folder, "none"))).rejects.toThrow("there is no file");
  await expect(Input.open(folder)).rejects.toThrow("is a folder: give a file");
});
