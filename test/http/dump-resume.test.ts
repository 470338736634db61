/** What may have changed when a dump is gone on with: it is the same, and goes on, or is refused, and the file is left as it was. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { note } from "../../src/cli/dump/begun.ts";
import { dump } from "../../src/cli/dump/dump.ts";
import { restore } from "../../src/cli/dump/restore.ts";
import { findings } from "../../src/cli/dump/verify.ts";
import { Scan } from "../system/dump-file.ts";
import { type Service, service, token } from "./service.ts";

let one: Service;
let other: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-resume-"));

beforeAll(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  [one, other] = await Promise.all([service(), service()]);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await Promise.all([one.end(), other.end()]);
  rmSync(folder, { recursive: true, force: true });
});

const ask = async (at: Service, method: string, path: string, body?: object) => {
  const answer = await at.call(method, path, body);
  expect(answer.status, `${method} ${path}: ${answer.text}`).toBeLessThan(300);
  return answer.json;
};

async function make(at: Service, ns: string, names: readonly string[] = ["a", "b"]): Promise<void> {
  if (ns !== "default") await ask(at, "PUT", `/v1/${ns}`);
  for (const name of names) {
    await ask(at, "PUT", `/v1/${ns}/streams/${name}`, { partitions: 2 });
    const records = Array.from({ length: 20 }, (_, n) => ({ key: `k${n}`, data: n }));
    await ask(at, "POST", `/v1/${ns}/streams/${name}/records`, { records });
  }
}

const remake = async (at: Service, ns: string) => {
  await ask(at, "DELETE", `/v1/${ns}?force=true`);
  await make(at, ns);
};

interface Case {
  /** What is asked for, of the namespace `ns`; default all of it. */
  readonly of?: (ns: string) => string;
  /** Where the file ends: within the records of the stream `a`, or with all of them. */
  readonly cut?: "within" | "behind";
  /** Nothing is noted beside the file; or this is. */
  readonly noted?: false | string;
  readonly change?: (ns: string, file: string) => Promise<unknown>;
  readonly how?: (ns: string) => Partial<Parameters<typeof dump>[0]>;
  /** Refused so; undefined: it goes on. */
  readonly says?: RegExp;
  /** Of the namespace that always is. */
  readonly default?: true;
}

const another = () => ({ url: other.url });
/** A copy with the log's id, out of a whole dump. */
const copy = async (ns: string) => {
  const whole = join(folder, `whole-${ns}-copy`);
  rmSync(whole, { force: true });
  await dump({ what: ns, output: whole, url: one.url, token });
  await restore({ file: whole, url: other.url, token, namespace: ns });
};

const cases: Record<string, Case> = {
  "nothing, within a stream": {},
  "nothing, between two": { cut: "behind" },
  "nothing, and nothing was noted": { noted: false },
  "nothing, and the stream alone is asked for": { of: (ns) => `${ns}/a` },
  "the stream is made anew": {
    change: async (ns) => {
      await ask(one, "DELETE", `/v1/${ns}/streams/a`);
      await make(one, ns, ["a"]);
    },
    says: /last stream 'a' is another there: it was deleted and made anew/,
  },
  "the stream is made anew, and nothing was noted": {
    noted: false,
    change: async (ns) => {
      await ask(one, "DELETE", `/v1/${ns}/streams/a`);
      await make(one, ns, ["a"]);
    },
    says: /last stream 'a' is another there/,
  },
  "the stream is deleted": {
    change: (ns) => ask(one, "DELETE", `/v1/${ns}/streams/a`),
    says: /last stream 'a' is not there/,
  },
  "the stream is deleted, when all of it was dumped": {
    cut: "behind",
    change: (ns) => ask(one, "DELETE", `/v1/${ns}/streams/a`),
  },
  "the stream is deleted, when all of it was dumped, and nothing was noted": {
    cut: "behind",
    noted: false,
    change: (ns) => ask(one, "DELETE", `/v1/${ns}/streams/a`),
    says: /last stream 'a' is not there/,
  },
  "the namespace is made anew": { change: (ns) => remake(one, ns), says: /the namespace was deleted and made anew/ },
  "the namespace is made anew, between two": {
    cut: "behind",
    change: (ns) => remake(one, ns),
    says: /the namespace was deleted and made anew/,
  },
  "the namespace is deleted": { change: (ns) => ask(one, "DELETE", `/v1/${ns}?force=true`), says: /is not there/ },
  "another service, which has nothing": { how: another, says: /is not there.*begun from http/ },
  "another service, which has streams of the names": {
    change: (ns) => make(other, ns),
    how: another,
    says: /the namespace was deleted and made anew, or is another service's.*begun from http/,
  },
  "another service, which has a copy": { change: copy, how: another, says: /another service's.*begun from http/ },
  "another service, which has a copy, of the namespace that always is": {
    default: true,
    change: copy,
    how: another,
    says: /came out of a restore there/,
  },
  "another service, which has a copy, between two of the namespace that always is": {
    default: true,
    cut: "behind",
    change: copy,
    how: another,
    says: /came out of a restore there/,
  },
  "another way to the same service": { how: () => ({ url: one.url.replace("127.0.0.1", "localhost") }) },
  "another token, which has no right": { how: () => ({ token: "none" }), says: /token/ },
  "another stream is asked for": { how: (ns) => ({ what: `${ns}/b` }), says: /begun as a dump of .*, not of .*\/b/ },
  "the stream alone is asked for": { how: (ns) => ({ what: `${ns}/a` }), says: /begun as a dump of/ },
  "the namespace is asked for, and was the stream": {
    of: (ns) => `${ns}/a`,
    how: (ns) => ({ what: ns }),
    says: /begun as a dump of .*\/a, not of/,
  },
  "another namespace is asked for": {
    how: () => ({ what: "elsewhere" }),
    says: /is not a dump of the namespace 'elsewhere'/,
  },
  "it is to be compressed": { how: () => ({ gzip: true }), says: /compressed dump cannot be gone on with/ },
  "what was noted is cut off": {
    noted: '{"what":"x',
    says: /millrace-dump is not what a dump has written: put it back/,
  },
  "what was noted is something else": { noted: '{"what":7}', says: /millrace-dump is not what a dump has written/ },
};

test.each(Object.entries(cases))("%s", { timeout: 120_000 }, async (name, { of, cut = "within", noted, ...one_ }) => {
  const { change, how, says } = one_;
  const ns = one_.default ? "default" : `n${Object.keys(cases).indexOf(name)}`;
  if (one_.default)
    for (const at of [one, other])
      for (const stream of ["a", "b"]) await at.call("DELETE", `/v1/default/streams/${stream}`);
  await make(one, ns);
  const [whole, file] = [join(folder, `whole-${ns}`), join(folder, `file-${name.length}-${ns}`)];
  rmSync(whole, { force: true });
  const what = of?.(ns) ?? ns;
  await dump({ what, output: whole, url: one.url, token });
  expect(existsSync(`${whole}.millrace-dump`)).toBe(false);
  copyFileSync(whole, file);
  truncateSync(file, placeOf(whole, cut));
  const dumped = await fetch(`${one.url}/v1/${ns}/streams/a/dump`, { headers: { authorization: `Bearer ${token}` } });
  const origin = dumped.headers.get("millrace-origin") as string;
  if (typeof noted === "string") writeFileSync(`${file}.millrace-dump`, noted);
  else if (noted !== false) note(file, { what, url: one.url, origin });
  const before = readFileSync(file);
  await change?.(ns, file);
  const resumed = dump({ what, output: file, resume: true, url: one.url, token, ...how?.(ns) });
  if (says !== undefined) {
    await expect(resumed).rejects.toThrow(says);
    expect(readFileSync(file).equals(before)).toBe(true);
    return;
  }
  await resumed;
  expect((await findings(file)).damages).toEqual([]);
  expect(readFileSync(file).equals(readFileSync(whole))).toBe(true);
  expect(existsSync(`${file}.millrace-dump`)).toBe(false);
});

/** Where a file is cut: in the middle of the first chunk of its first stream, or behind that stream. */
function placeOf(path: string, cut: "within" | "behind"): number {
  let at = 8;
  let streams = 0;
  for (const { block, bytes } of new Scan(path).blocks) {
    if (block.name === "stream" && ++streams === 2) return at;
    if (block.name === "close" && cut === "within") return at + 3;
    at += bytes.length;
  }
  return at - 3;
}

test("what is being dumped is noted beside it, and is of each stream in its turn", async () => {
  await make(one, "noting");
  const file = join(folder, "noting");
  const seen: string[] = [];
  const { fetch } = globalThis;
  vi.stubGlobal("fetch", (...args: Parameters<typeof fetch>) => {
    if (existsSync(`${file}.millrace-dump`)) seen.push(readFileSync(`${file}.millrace-dump`, "utf8"));
    return fetch(...args);
  });
  await dump({ what: "noting", output: file, url: one.url, token }).finally(() => vi.unstubAllGlobals());
  const logs = new Set(seen.map((text) => JSON.parse(text).origin.split("-")[1]));
  expect(logs.size).toBe(2);
  expect(JSON.parse(seen[0])).toMatchObject({ what: "noting", url: one.url });
  expect(existsSync(`${file}.millrace-dump`)).toBe(false);
});
