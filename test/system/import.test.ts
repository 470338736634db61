/** Imports over their own death, lost answers, and inputs that were changed: every row once, in order. */
import { once } from "node:events";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace, type StoredRecord, type Stream } from "../../src/client/index.ts";
import { long, times } from "../cases/long.ts";
import { runCli, start } from "../http/cli.ts";
import { token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-import-"));
let running: Running;
beforeAll(async () => {
  running = await run({ data, token });
});
afterAll(async () => {
  await running.stop("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

let folder: string;
let stream: Stream;
let count = 0;
beforeEach(async () => {
  folder = mkdtempSync(join(data, "case-"));
  stream = new Millrace({ url: running.url, token }).stream(`import-${count++}`);
  await stream.put();
});

const file = (name: string, content: string | Buffer) => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const load = (args: readonly string[], input?: string | Buffer, url = running.url) =>
  start(["import", stream.name, ...args], { MILLRACE_URL: url, MILLRACE_TOKEN: token }, input ?? "");
const outcome = (args: readonly string[], input?: string | Buffer) =>
  runCli(["import", stream.name, ...args], { MILLRACE_URL: running.url, MILLRACE_TOKEN: token }, input ?? "");
const loaded = async (args: readonly string[], input?: string | Buffer) => {
  const ran = await outcome(args, input);
  expect(ran).toMatchObject({ code: 0 });
  return ran.out;
};

async function records(): Promise<StoredRecord[]> {
  const found: StoredRecord[] = [];
  for await (const batch of stream.read({ pageSize: 10_000 }).batches()) found.push(...batch);
  return found;
}
const values = async () => (await records()).map(({ data }) => data);

const at = (n: number) => new Date(1_700_000_000_000 + n * 1_000).toISOString();
const lines = (count: number, from = 0, pad = "x".repeat(300)) =>
  Array.from({ length: count }, (_, index) => {
    const n = from + index;
    return `${JSON.stringify({ n, key: `k-${n % 100}`, at: at(n), pad })}\n`;
  }).join("");
const columns = ["--key", "key", "--id", "n", "--time", "at"];
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
const ns = async () => (await values()).map((value) => (value as { n: number }).n);

/**
 * A line to the service. `answers` is asked for each append that was answered; where it says no, nobody hears of it. Where
 * `passes` says no, the service does not hear of the append, and nobody is answered.
 */
async function line(answers: (append: number) => boolean | Promise<boolean>, passes = (_append: number) => true) {
  let appends = 0;
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const append = request.method === "POST";
    if (append && !passes(appends + 1)) return void appends++;
    const headers = Object.entries(request.headers).filter(([name]) =>
      /^(authorization|content-|producer-)/.test(name),
    );
    const answer = await fetch(running.url + request.url, {
      method: request.method as string,
      headers: Object.fromEntries(headers) as Record<string, string>,
      ...(append ? { body: Buffer.concat(parts) } : {}),
    });
    const text = await answer.text();
    if (append && !(await answers(++appends))) return response.destroy();
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" }).end(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** The file of an import's progress, for the stream of the test. */
const stateOf = (path: string) => {
  const found = readdirSync(folder).filter((name) => name.startsWith(`${basename(path)}.${stream.name}-`));
  return found.filter((name) => name.endsWith(".millrace-import")).map((name) => join(folder, name))[0];
};
const saved = (path: string) => {
  const state = stateOf(path);
  return state === undefined ? undefined : JSON.parse(readFileSync(state, "utf8"));
};

describe("over its death", () => {
  test.each([
    ...(long
      ? ([
          ["a file", "rows.ndjson", false, 1],
          ["a compressed file", "rows.ndjson.gz", false, 1],
        ] as const)
      : []),
    ["the standard input", "rows.ndjson", true, 1],
    ["a file, into partitions that become more", "rows.ndjson", false, 4],
  ] as const)("%s, killed at several moments", async (_, name, piped, partitions) => {
    const total = times(12_000, 30_000);
    const content = lines(total);
    const path = file(name, name.endsWith(".gz") ? gzipSync(content) : content);
    let arrived = () => {};
    const slow = await line(async () => {
      arrived();
      await pause(times(60, 20));
      return true;
    });
    const args = piped ? ["--state", `${path}.millrace-import`, ...columns] : [path, ...columns];
    let between = 0;
    for (let round = 0; ; round++) {
      const importer = load(args, piped ? content : undefined, slow.url);
      const begun = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      // Some die before their first batch is answered, others behind several.
      const moment = begun.then(() => pause(Math.random() * 150));
      const ran = await Promise.race([importer.ended, moment]);
      if (ran !== undefined) {
        expect(ran).toMatchObject({
          code: 0,
          out: expect.stringMatching(new RegExp(`(^|in all: )${total} imported\n$`)),
        });
        break;
      }
      importer.child.kill("SIGKILL");
      await importer.ended;
      const there = (await records()).length;
      if (there > 0 && there < total) between++;
      if (round < partitions - 1) await stream.put({ partitions: round + 2 });
      if (round > 40) throw new Error("it does not get on");
    }
    slow.close();
    expect(between).toBeGreaterThan(1);
    const found = await records();
    expect(found).toHaveLength(total);
    const last = new Map<string, number>();
    for (const { key = "", id, time, data } of found) {
      const { n } = data as { n: number };
      expect([key, id, time]).toEqual([`k-${n % 100}`, String(n), at(n)]);
      expect(n).toBe((last.get(key) ?? (n % 100) - 100) + 100);
      last.set(key, n);
    }
    if (partitions === 1) expect(found.map(({ data }) => (data as { n: number }).n)).toEqual(numbers(total));
  });

  test.each([1, 2, 5])("killed when the answer to batch %i was lost", async (lost) => {
    const path = file("rows.ndjson", lines(15_000));
    let reached = () => {};
    const reaching = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const broken = await line((append) => {
      if (append >= lost) reached();
      return append < lost;
    });
    const importer = load([path, "--key", "key"], "", broken.url);
    await reaching;
    importer.child.kill("SIGKILL");
    await importer.ended;
    broken.close();
    const before = (await records()).length;
    const known = saved(path).place.lines;
    expect(known).toBeLessThan(before);
    expect(await loaded([path, "--key", "key"])).toBe(`${15_000 - known} imported; in all: 15000 imported\n`);
    expect(await ns()).toEqual(numbers(15_000));
  });

  test("and over the loss of its state, where the file was not touched", async () => {
    const path = file("rows.ndjson", lines(30_000));
    await loaded([path]);
    rmSync(stateOf(path));
    // Killed once more, before it knows that the first batch is there.
    const broken = await line(() => false);
    const importer = load([path], "", broken.url);
    await expect.poll(() => saved(path)?.sending, { timeout: 10_000 }).toBeGreaterThan(1_000);
    importer.child.kill("SIGKILL");
    await importer.ended;
    broken.close();
    expect(await loaded([path])).toBe("0 imported, 30000 duplicates; in all: 0 imported, 30000 duplicates\n");
    expect(await ns()).toEqual(numbers(30_000));
    // Another file of the same beginning is another import.
    rmSync(stateOf(path));
    utimesSync(path, 1, 1);
    expect(await loaded([path])).toBe("30000 imported\n");
  });

  test("by a signal that asks for it", async () => {
    const path = file("rows.ndjson", lines(10_000));
    const hanging = await line((append) => (append < 2 ? true : new Promise(() => {})));
    const importer = load([path], "", hanging.url);
    await expect.poll(() => saved(path)?.sequence, { timeout: 10_000 }).toBe(1);
    importer.child.kill("SIGTERM");
    expect(await importer.ended).toMatchObject({
      code: 1,
      err: expect.stringMatching(/goes on from there\n.*stopped/),
    });
    hanging.close();
    const known = saved(path).place.lines;
    expect(await loaded([path])).toBe(`${10_000 - known} imported; in all: 10000 imported\n`);
    expect(await ns()).toEqual(numbers(10_000));
  });

  test.each([
    ["SIGKILL", "before the service has", "\ufeff"],
    ["SIGKILL", "when the service has", ""],
    ["SIGINT", "before the service has", ""],
    ["SIGINT", "when the service has", "sep=,\r\n"],
  ] as const)("of CSV, by %s %s its first batch", async (signal, moment, before) => {
    const rows = numbers(10_005).map((n) => `r${n},${n}\n`);
    const path = file("rows.csv", `${before}id,n\n${rows.join("")}`);
    const isThere = moment.startsWith("when");
    let reached = () => {};
    const reaching = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const broken = await line(
      () => {
        reached();
        return new Promise(() => {});
      },
      () => {
        if (!isThere) reached();
        return isThere;
      },
    );
    const importer = load([path, "--key", "id"], "", broken.url);
    await reaching;
    importer.child.kill(signal);
    await importer.ended;
    broken.close();
    expect(await records()).toHaveLength(isThere ? 10_000 : 0);
    expect(await loaded([path, "--key", "id"])).toBe("10005 imported; in all: 10005 imported\n");
    expect((await records()).map(({ key, data }) => [key, data])).toEqual(
      numbers(10_005).map((n) => [`r${n}`, { id: `r${n}`, n: String(n) }]),
    );
  });
});

describe("bad rows", () => {
  const rows = (bad: string) => `${lines(3)}${bad}${lines(2, 3)}`;

  test("end it there; once they are mended, it goes on", async () => {
    const path = file("rows.ndjson", rows("{oh\n"));
    const ran = await outcome([path]);
    expect(ran).toMatchObject({
      code: 1,
      err: expect.stringMatching(/3 imported, up to line 3;[\s\S]*line 4: not JSON/),
    });
    expect(await ns()).toEqual([0, 1, 2]);
    writeFileSync(path, rows("\n"));
    expect(await loaded([path])).toBe("2 imported; in all: 5 imported\n");
    expect(await ns()).toEqual([0, 1, 2, 3, 4]);
  });

  test("may be mended among the first bytes, too, and what comes before them may not be changed", async () => {
    const path = file("rows.ndjson", "1\n2\n{oh\n");
    expect(await outcome([path])).toMatchObject({ code: 1, err: expect.stringContaining("line 3: not JSON") });
    writeFileSync(path, "0\n2\n3\n");
    expect(await outcome([path])).toMatchObject({ code: 2, err: expect.stringContaining("something else") });
    writeFileSync(path, "1\n2\n3\n4\n");
    expect(await loaded([path])).toBe("2 imported; in all: 4 imported\n");
    expect(await values()).toEqual([1, 2, 3, 4]);
  });

  test("mended when the answer to what came before them was lost", async () => {
    const path = file("rows.ndjson", rows("{oh\n"));
    const broken = await line(() => false);
    const importer = load([path], "", broken.url);
    await expect.poll(async () => (await records()).length, { timeout: 10_000 }).toBe(3);
    importer.child.kill("SIGKILL");
    await importer.ended;
    broken.close();
    writeFileSync(path, rows("\n"));
    expect(await loaded([path])).toBe("5 imported; in all: 5 imported\n");
    expect(await ns()).toEqual([0, 1, 2, 3, 4]);
  });

  test("are skipped and told, the first twenty", async () => {
    const path = file("rows.ndjson", rows("{oh\n".repeat(30)));
    const ran = await outcome([path, "--on-error", "skip"]);
    expect(ran).toMatchObject({ code: 0, out: "5 imported, 30 skipped\n" });
    expect(ran.err.match(/^line \d+: skipped: not JSON/gm)).toHaveLength(20);
    expect(ran.err).toContain("line 23: skipped");
    expect(await ns()).toEqual([0, 1, 2, 3, 4]);
  });

  test("records that the log rejects are told with their lines", async () => {
    await stream.delete();
    await stream.put({ offsets: "producer" });
    const content = [5, 6, 2, 9].map((offset) => JSON.stringify({ offset, data: offset })).join("\n");
    const ran = await outcome([file("rows.ndjson", content), "--records"]);
    expect(ran).toMatchObject({ code: 1, out: "3 imported, 1 rejected\n" });
    expect(ran.err).toMatch(/^line 3: rejected: offset-regressed: /);
    expect(await values()).toEqual([5, 6, 9]);
  });
});

describe("what is not the import that was begun is refused", () => {
  test("another stream, options, or content", async () => {
    const path = file("rows.ndjson", lines(5_000));
    await loaded([path]);
    const refused = async (args: readonly string[], why: string) =>
      expect(await outcome(args)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(why) });
    await refused([path, "--key", "key"], "another --key");
    writeFileSync(path, lines(4_000));
    await refused([path], "has only");
    writeFileSync(path, lines(6_000, 1));
    await refused([path], "begins with something else");
    const [first, ...others] = lines(6_000).split("\n");
    writeFileSync(path, [first, ...others.slice(0, 3), ...others.slice(4)].join("\n"));
    await refused([path], "is another before line 5001");
    const state = stateOf(path);
    expect(statSync(state).mode & 0o777).toBe(0o600);
    await stream.delete();
    await stream.put();
    await refused([path, "--state", state], "or it is another service's: 5000 records went to the one before");
    stream = new Millrace({ url: running.url, token }).stream(`import-${count++}`);
    await stream.put();
    await refused([path, "--state", state], "belongs to the stream");
    const elsewhere = new Millrace({ url: running.url, token, namespace: "elsewhere" });
    await elsewhere.http.json("PUT", "", { namespace: "" });
    await elsewhere.stream(stream.name).put();
    await refused([path, "--state", state, "--namespace", "elsewhere"], "of the namespace 'default'");
  });

  test("a state that is not what was written", async () => {
    const path = file("rows.ndjson", lines(10));
    await loaded([path]);
    const state = stateOf(path);
    const written = readFileSync(state, "utf8");
    const damaged = ["", "null", "[]", "{}", written.slice(0, 50), written.replace('"place"', '"plaice"')];
    for (const content of [...damaged, written.replace('"imported":10', '"imported":"10"')]) {
      writeFileSync(state, content);
      expect(await outcome([path])).toMatchObject({
        code: 2,
        err: expect.stringContaining("is not what an import has written"),
      });
    }
    writeFileSync(state, written.replace(/"logId":"\w+",/, ""));
    const { code, err } = await load([path]).ended;
    expect(code).toBe(2);
    const [, said] = /write ("logId":"\w+") into it/.exec(err) ?? [];
    expect(err.trim().split("\n")).toEqual([expect.stringContaining("does not say which log it is of")]);
    // What it says to write is what it was.
    expect(written).toContain(said);
    rmSync(state);
    expect(await outcome([path, "--state", folder])).toMatchObject({
      code: 2,
      err: expect.stringContaining("is a folder"),
    });
    expect(await loaded([path])).toBe("0 imported, 10 duplicates\n");
  });

  test("another stream has a state of its own, and so has one that was made anew", async () => {
    const path = file("rows.ndjson", lines(10));
    await loaded([path]);
    await stream.delete();
    await stream.put();
    expect(await loaded([path])).toBe("10 imported\n");
    stream = new Millrace({ url: running.url, token }).stream(`import-${count++}`);
    await stream.put();
    expect(await loaded([path])).toBe("10 imported\n");
  });

  test("what began under the name that all streams had goes on with it, but not where changes had other ids", async () => {
    const path = file("rows.ndjson", lines(10));
    await loaded([path]);
    const old = `${path}.millrace-import`;
    renameSync(stateOf(path), old);
    appendFileSync(path, lines(2, 10));
    expect(await loaded([path])).toBe("2 imported; in all: 12 imported\n");
    expect(stateOf(path)).toBeUndefined();
    const begun = JSON.parse(readFileSync(old, "utf8"));
    writeFileSync(old, JSON.stringify({ ...begun, options: { format: "debezium", table: true } }));
    expect(await outcome([path, "--format", "debezium", "--table"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("begun by another version"),
    });
  });

  test("what was added is imported; a last line that has grown is not", async () => {
    const path = file("rows.ndjson", "1\n2\n3");
    await loaded([path]);
    appendFileSync(path, "4\n");
    expect(await outcome([path])).toMatchObject({ code: 2, err: expect.stringContaining("goes on in line 3") });
    writeFileSync(path, "1\n2\n3\n4\n");
    expect(await loaded([path])).toBe("1 imported; in all: 4 imported\n");
    expect(await loaded([path])).toBe("0 imported; in all: 4 imported\n");
    expect(JSON.parse(await loaded([path, "--json"]))).toMatchObject({ imported: 0, total: { imported: 4 } });
    expect(await values()).toEqual([1, 2, 3, 4]);
  });

  test("two processes do not share a state", async () => {
    const path = file("rows.ndjson", lines(10));
    const hanging = await line(() => new Promise(() => {}));
    const importer = load([path], "", hanging.url);
    await expect.poll(async () => (await records()).length, { timeout: 10_000 }).toBe(10);
    expect(await outcome([path])).toMatchObject({ code: 2, err: expect.stringContaining("another --state") });
    importer.child.kill("SIGKILL");
    await importer.ended;
    hanging.close();
    expect(await loaded([path])).toBe("10 imported; in all: 10 imported\n");
  });
});

describe("formats", () => {
  test("CSV, over a death behind its header", async () => {
    const rows = numbers(5_000).map((n) => `${n},k-${n % 10},"a ""b"",\n${n}",true\r\n`);
    const path = file("rows.csv.gz", gzipSync(`\ufeffid,key,text,ok\r\n${rows.join("")}`));
    const args = [path, "--key", "key", "--id", "id", "--numbers", "--type", "=row", "--tag", "key"];
    await stream.put({ batchBytesMax: 100_000, recordBytesMax: 10_000 });
    const broken = await line((append) => append < 3);
    const importer = load(args, "", broken.url);
    await expect.poll(async () => (await records()).length, { timeout: 10_000 }).toBeGreaterThan(1_000);
    await expect.poll(() => saved(path).sequence, { timeout: 10_000 }).toBe(2);
    importer.child.kill("SIGKILL");
    await importer.ended;
    broken.close();
    const known = saved(path).counts.imported;
    expect(await loaded(args)).toBe(`${5_000 - known} imported; in all: 5000 imported\n`);
    const found = await records();
    expect(found.map(({ data }) => data)).toEqual(
      numbers(5_000).map((n) => ({ id: n, key: `k-${n % 10}`, text: `a "b",\n${n}`, ok: true })),
    );
    expect(found[7]).toMatchObject({ key: "k-7", id: "7", type: "row", tags: ["k-7"] });
  });

  test("CSV without a row of names, and with a tab that is written as one", async () => {
    const path = file("rows.csv", "1\ta\n2\tb\n");
    await loaded([path, "--columns", "id,name", "--delimiter", "\\t", "--key", "id"]);
    expect((await records()).map(({ key, data }) => [key, data])).toEqual([
      ["1", { id: "1", name: "a" }],
      ["2", { id: "2", name: "b" }],
    ]);
    for (const option of ["--columns", "--delimiter"]) {
      const ran = await outcome([path, option, "a", option, "b"]);
      expect(ran).toMatchObject({ code: 2, err: expect.stringContaining(`${option} is one, and was given twice`) });
    }
  });

  test("records as they are read, times as timestamps, and a dry run", async () => {
    await loaded(["--key", "key", "--time", "at"], lines(100));
    const printed = (
      await runCli(["read", stream.name, "--json"], { MILLRACE_URL: running.url, MILLRACE_TOKEN: token })
    ).out;
    stream = new Millrace({ url: running.url, token }).stream(`import-${count++}`);
    await stream.put({ timestamps: "client" });
    const path = file("rows.ndjson", printed.replaceAll(/"timestamp":"[^"]*",/g, ""));
    const dry = await loaded([path, "--records", "--dry-run"]);
    expect(dry.trim().split("\n")).toHaveLength(10);
    expect(JSON.parse(dry.split("\n")[3])).toMatchObject({ key: "k-3", time: at(3), data: { n: 3 } });
    expect(await records()).toEqual([]);
    expect(stateOf(path)).toBeUndefined();
    await loaded([path, "--records"]);
    const found = await records();
    expect(found.map(({ timestamp }) => timestamp)).toEqual(numbers(100).map(at));
    expect(found[99]).toMatchObject({ key: "k-99", time: at(99), data: { n: 99 } });
  });

  test("the end of a line is none of its data, whichever it is", async () => {
    await loaded([file("rows.ndjson", '{"i": 1}\r\n\r\n{"i": 2}\n  {"i": 3}\r\n"x\\r"\r\n4\r')]);
    const accept = "application/x-ndjson";
    const path = `/v1/default/streams/${stream.name}/records`;
    const answer = await fetch(running.url + path, { headers: { authorization: `Bearer ${token}`, accept } });
    const data = [...(await answer.text()).matchAll(/"data":(.*)\}$/gm)].map(([, text]) => text);
    expect(data).toEqual(['{"i": 1}', '{"i": 2}', '  {"i": 3}', '"x\\r"', "4"]);
  });

  test("a dry run shows bytes that are no text", async () => {
    const lines = ['{"key":"k","data_base64":"AP8K"}', '{"data_base64":"gA=="}'];
    const path = file("rows.ndjson", `${lines.join("\n")}\n`);
    expect(await loaded([path, "--records", "--dry-run"])).toBe(`${lines.join("\n")}\n`);
  });

  test("change events", async () => {
    const source = { table: "orders", name: "shop", ts_ms: 1_700_000_000_000 };
    const events = [
      { op: "c", after: { id: 1, total: 5 }, source: { ...source, lsn: 1 } },
      { op: "u", after: { id: 1, total: 6 }, source: { ...source, lsn: 2 } },
      { op: "u", after: { id: 1, total: 6 }, source: { ...source, lsn: 2 } },
      { op: "d", before: { id: 1 }, after: null, source: { ...source, lsn: 3 } },
      null,
    ];
    const path = file("debezium.ndjson", events.map((event) => `${JSON.stringify(event)}\n`).join(""));
    expect(await loaded([path, "--table", "--key", "id"])).toBe("3 imported, 1 duplicate, 1 ignored\n");
    const found = await records();
    expect(found.map(({ key, type, data }) => [key, type, data])).toEqual([
      ["1", "orders.c", { id: 1, total: 5 }],
      ["1", "orders.u", { id: 1, total: 6 }],
      ["1", "orders.d", undefined],
    ]);
    expect(found[2].time).toBe("2023-11-14T22:13:20Z");
  });

  test("a snapshot's rows of equal tables in several schemas are all there", async () => {
    const rows = ["tenant_a", "tenant_b"].flatMap((schema) =>
      [1, 2, 3].map((id) => {
        const source = { connector: "postgresql", name: "pg", db: "shop", schema, table: "orders", lsn: 24_023_128 };
        return `${JSON.stringify({ op: "r", before: null, after: { id, tenant: schema }, source })}\n`;
      }),
    );
    const args = [file("snap.ndjson", rows.join("")), "--format", "debezium", "--table", "--key", "id"];
    expect(await loaded(args)).toBe("6 imported\n");
    expect(await outcome([args[0], "--format", "debezium", "--state", join(folder, "s")])).toMatchObject({
      code: 2,
      err: expect.stringContaining("changes of the table orders: add --table"),
    });
  });

  test("what would be read wrongly is refused before anything is sent", async () => {
    const rows = numbers(20_000).map((n) => `${n};a\n`);
    const refused = async (content: string | Buffer, why: string, args: readonly string[] = [], name = "rows.csv") => {
      const path = file(name, content);
      const ran = await outcome([path, "--on-error", "skip", ...args]);
      expect(ran).toMatchObject({ code: 2, out: "", err: expect.stringContaining(why) });
      expect(await records()).toEqual([]);
      expect(stateOf(path)).toBeUndefined();
    };
    await refused(`id;name\n${rows.join("")}`, "--delimiter ';'");
    // A tab is taken from the name alone, and not because somebody said so.
    await refused(`id,name\n${rows.join("").replaceAll(";", ",")}`, "--delimiter ','", [], "rows.tsv");
    await refused(`id,name\r${rows.join("").replaceAll("\n", "\r")}`, "tr '\\r' '\\n'");
    const western = Buffer.from(`id;name\n${rows.join("")}1;Jos\xe9\n`, "latin1");
    await refused(western, "line 20002 of", ["--delimiter", ";"]);
    await refused(gzipSync(western), "line 20002 of", ["--delimiter", ";"]);
    await refused(`id,name\n1,a\n`, "there is no column 'Id'; there are: id, name", ["--key", "Id"]);
    const path = file("rows.csv", western);
    expect(await loaded([path, "--delimiter", ";", "--encoding", "windows-1252"])).toBe("20001 imported\n");
    expect((await values()).at(-1)).toEqual({ id: "1", name: "José" });
  });

  test("a compressed file that is cut off is imported as far as it goes, and goes on when it is whole", async () => {
    const whole = gzipSync(lines(5_000));
    const path = file("rows.ndjson.gz", whole.subarray(0, -2));
    const ran = await outcome([path]);
    expect(ran).toMatchObject({ code: 1, out: "", err: expect.stringContaining("cut off") });
    const known = (await records()).length;
    writeFileSync(path, whole);
    expect(await loaded([path])).toBe(`${5_000 - known} imported; in all: 5000 imported\n`);
    expect(await ns()).toEqual(numbers(5_000));
    // A short one comes as far as it goes, too.
    const short = file("short.ndjson.gz", gzipSync("1\n2\n", { level: 0 }).subarray(0, -9));
    const before = (await records()).length;
    expect(await outcome([short])).toMatchObject({
      code: 1,
      err: expect.stringContaining("1 imported, up to line 1"),
    });
    expect(await records()).toHaveLength(before + 1);
    // What is whole comes before what lies behind it is found.
    const behind = file("behind.ndjson.gz", Buffer.concat([gzipSync(lines(5)), Buffer.from("x\n")]));
    const told = await outcome([behind]);
    expect(told).toMatchObject({ code: 1, err: expect.stringContaining("5 imported, up to line 5") });
    expect(told.err).toContain("something lies behind");
    expect(await records()).toHaveLength(before + 6);
    // Of CSV all is read before.
    const csv = gzipSync("id,name\n1,a\n");
    const refusals = [
      [csv.subarray(0, -1), []],
      [csv.subarray(0, 15), ["--encoding", "utf-8"]],
      [Buffer.concat([csv, Buffer.from("more")]), ["--encoding", "windows-1252"]],
    ] as const;
    for (const [content, args] of refusals) {
      const ran = await outcome([file("cut.csv.gz", content), ...args]);
      expect(ran).toMatchObject({ code: 2, err: expect.stringMatching(/cut off|behind/) });
    }
    expect(await records()).toHaveLength(before + 6);
  });

  test("the standard input is unpacked and decoded, too", async () => {
    const content = gzipSync(Buffer.from("\ufeffid\tname\n1\tJosé\n", "utf16le"));
    expect(await loaded(["--format", "csv", "--delimiter", "\\t"], content)).toBe("1 imported\n");
    expect(await values()).toEqual([{ id: "1", name: "José" }]);
    expect(await loaded(["-", "--format", "csv", "--delimiter", "\\t"], content)).toBe("1 imported\n");
    expect(await values()).toHaveLength(2);
  });
});
