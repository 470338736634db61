/** Dumps over their death, and what comes back of them: on real workerd, with an archive. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { findings } from "../../src/cli/dump/verify.ts";
import { Millrace } from "../../src/client/index.ts";
import { times } from "../cases/long.ts";
import { runCli, start } from "../http/cli.ts";
import { type Answer, call, token } from "../http/service.ts";
import { Scan } from "./dump-file.ts";
import { type Server, s3Server, varsOf } from "./s3-server.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-dump-"));
let server: Server;
let source: Running;
let target: Running;
let archive: Record<string, string>;
const running: Running[] = [];

async function service(bucket: string): Promise<Running> {
  const one = await run({
    data: bucket === "killed" ? join(folder, "data-killed") : mkdtempSync(join(folder, "data-")),
    token,
    archive: { ...archive, MILLRACE_S3_BUCKET: bucket },
  });
  running.push(one);
  return one;
}

const file = (name: string) => join(folder, name);
const cli = (at: Running, ...args: string[]) =>
  runCli(args, { MILLRACE_URL: at.url, MILLRACE_TOKEN: token }).then((ran) => {
    expect(ran, ran.err).toMatchObject({ code: 0 });
    return ran;
  });
const fails = async (at: Running, ...args: string[]) => {
  const ran = await runCli(args, { MILLRACE_URL: at.url, MILLRACE_TOKEN: token });
  expect(ran.code, ran.out).toBe(1);
  return ran.err + ran.out;
};
const ask = (
  at: Running,
  method: string,
  path: string,
  body?: object,
  headers?: Record<string, string>,
): Promise<Answer> => call(at.url, method, path, body, headers);
const good = async (answer: Promise<Answer>) => {
  const one = await answer;
  expect(one.status, one.text).toBeLessThan(300);
  return one.json;
};
const same = (a: string, b: string) => Buffer.compare(readFileSync(file(a)), readFileSync(file(b))) === 0;
const produced = (sequence: number) => ({
  "producer-id": "p",
  "producer-epoch": "3",
  "producer-seq": String(sequence),
});

const batchOf = (n: number) => ({
  records: Array.from({ length: 40 }, (_, i) => ({
    key: `k${i % 9}`,
    id: `${n}-${i}`,
    type: "t",
    tags: ["x"],
    data: { n, i },
  })),
});

/** Retries, ids, places, and holes of every kind. */
async function fill(at: Running): Promise<void> {
  const orders = "/v1/shop/streams/orders";
  await good(ask(at, "PUT", "/v1/shop"));
  await good(ask(at, "PUT", orders, { partitions: 2, keyIndex: false, deduplicationWindowMs: 600_000 }));
  await good(
    ask(at, "PUT", `${orders}/groups/billing`, {
      maxDeliveries: 1,
      onFailure: "park",
      backoff: [0],
      ackTimeoutMs: 3_600_000,
    }),
  );
  await good(ask(at, "PUT", `${orders}/groups/audit`, { order: "partition", ackTimeoutMs: 3_600_000 }));
  await good(
    ask(at, "PUT", `${orders}/groups/hooks`, {
      push: { url: "https://example.com/hook", secrets: [`whsec_${"A".repeat(32)}`] },
    }),
  );
  await good(ask(at, "POST", `${orders}/groups/hooks/pause`, { reason: "later" }));
  for (let n = 0; n < 6; n++) {
    await good(ask(at, "POST", `${orders}/records`, batchOf(n), produced(n)));
  }
  const { deliveries } = await good(ask(at, "POST", `${orders}/groups/billing/receive`, { max: 60, waitSeconds: 5 }));
  expect(deliveries.length).toBeGreaterThan(6);
  const receipts = deliveries.map(({ receipt }: { receipt: string }) => receipt);
  await good(ask(at, "POST", `${orders}/groups/billing/nack`, { receipts: receipts.slice(0, 3), reason: "no" }));
  await good(ask(at, "POST", `${orders}/groups/billing/ack`, { receipts: receipts.slice(5) }));
  const seen = await good(ask(at, "POST", `${orders}/groups/audit/receive`, { max: 20, partition: 0, waitSeconds: 5 }));
  await good(
    ask(at, "POST", `${orders}/groups/audit/ack`, {
      receipts: seen.deliveries.map((one: { receipt: string }) => one.receipt),
    }),
  );
  await good(ask(at, "PUT", orders, { partitions: 3 }));
  const after = Array.from({ length: 9 }, (_, i) => ({ key: `k${i}`, id: `after-${i}`, data: "after the split" }));
  await good(ask(at, "POST", `${orders}/records`, { records: after }));
  await good(ask(at, "POST", `${orders}/partitions/1/trim`, { beforeOffset: 13 }));
  await good(ask(at, "PUT", `${orders}/partitions/1/fence`, { token: "writer-7" }));

  const archived = "/v1/shop/streams/archived";
  await good(ask(at, "PUT", archived, { archive: true, retentionRecords: 800, deduplicationWindowMs: 0 }));
  for (let n = 0; n < 40; n++) {
    await good(
      ask(at, "POST", `${archived}/records`, {
        records: Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, data: `${n}-${i}-${"x".repeat(200)}` })),
      }),
    );
  }
  const hotFrom = async () => (await good(ask(at, "GET", `${archived}/partitions/0`))).hotFrom;
  for (let tries = 0; (await hotFrom()) < 1_000 && tries < 150; tries++) await pause(200);
  expect(await hotFrom()).toBeGreaterThan(1_000);

  const outbox = "/v1/shop/streams/outbox";
  await good(ask(at, "PUT", outbox, { offsets: "producer", timestamps: "client", keyIndex: true }));
  await good(
    ask(at, "POST", `${outbox}/records`, {
      records: [3, 7, 100, 2_000].map((offset) => ({
        offset,
        timestamp: 1_700_000_000_000 + offset,
        key: `o${offset % 3}`,
        data: offset,
      })),
    }),
  );
  await good(ask(at, "PUT", "/v1/shop/streams/empty", {}));
}

beforeAll(async () => {
  server = await s3Server();
  archive = varsOf({ ...server.store, bucket: "archive" });
  source = await service("archive");
  target = await service("worker");
  await fill(source);
});
afterAll(async () => {
  await Promise.all(running.map((one) => one.stop("SIGKILL")));
  await server.end();
  rmSync(folder, { recursive: true, force: true });
});

/** What is there for whoever goes on. */
async function state(at: Running, ns: string) {
  const orders = `/v1/${ns}/streams/orders`;
  const retry = await good(ask(at, "POST", `${orders}/records`, batchOf(5), produced(5)));
  const again = await good(ask(at, "POST", `${orders}/records`, { records: [{ key: "k3", id: "4-3", data: 0 }] }));
  return { retry: retry.verdicts, again: again.verdicts };
}

describe("a namespace", () => {
  test("is dumped, restored elsewhere, and dumped the same, byte by byte", async () => {
    await cli(source, "dump", "shop", "-o", file("a"), "--verify");
    const found = JSON.parse((await cli(target, "verify", file("a"), "--json")).out);
    expect(found).toMatchObject({ intact: true, streams: 4, groups: 3, letters: 3 });
    expect(found.partitions).toBeGreaterThan(4);
    await cli(source, "dump", "shop", "-o", file("again"));
    expect(same("a", "again")).toBe(true);
    await cli(target, "restore", file("a"), "--verify");
    await cli(target, "dump", "shop", "-o", file("b"));
    expect(same("a", "b")).toBe(true);
    expect((await cli(target, "restore", file("a"))).out).toContain("restored 0 of 4");
    const groups = "/v1/shop/streams/orders/groups";
    for (const { paused, pausedBecause } of (await good(ask(target, "GET", groups))).groups) {
      expect([paused, pausedBecause.reason]).toEqual([true, expect.stringMatching(/restored|later/)]);
    }
    await cli(target, "restore", file("a"), "--resume");
    const now = (await good(ask(target, "GET", groups))).groups;
    expect(now.map(({ paused }: { paused: boolean }) => paused)).toEqual([false, false, true]);
    await cli(target, "dump", "shop", "-o", file("resumed"));
    // Versions of groups count that they went on, and nothing else is another.
    expect(readFileSync(file("resumed")).length).toBe(readFileSync(file("a")).length);
  });

  test("goes on: offsets, retries, ids, fences, cursors, groups", async () => {
    const orders = "/v1/shop/streams/orders";
    for (const partition of [0, 1, 2]) {
      const path = `${orders}/partitions/${partition}`;
      const [before, after] = [await good(ask(source, "GET", path)), await good(ask(target, "GET", path))];
      for (const name of ["head", "tail", "sealed", "fence"]) expect(after[name], name).toEqual(before[name]);
      expect(await good(ask(target, "POST", `${path}/verify`))).toMatchObject({ intact: true });
    }
    const archived = "/v1/shop/streams/archived/records?from=0&limit=10000&maxBytes=all";
    const read = (at: Running) => call(at.url, "GET", archived, undefined, { accept: "application/x-ndjson" });
    expect((await read(target)).text).toBe((await read(source)).text);
    const { cursor } = await good(ask(source, "GET", `${orders}/records?limit=7`));
    const [page, original] = [target, source].map((at) => ask(at, "GET", `${orders}/records?from=${cursor}&limit=50`));
    expect((await good(page)).records).toEqual((await good(original)).records);
    const [one, other] = [await state(source, "shop"), await state(target, "shop")];
    expect(one.retry.every(({ verdict }: { verdict: string }) => verdict === "duplicate")).toBe(true);
    expect(one.again[0].verdict).toBe("duplicate");
    expect(other).toEqual(one);
    const appended = await good(ask(target, "POST", `${orders}/records`, { records: [{ key: "k4" }] }));
    expect(appended).toEqual(await good(ask(source, "POST", `${orders}/records`, { records: [{ key: "k4" }] })));
    const outbox = {
      records: [
        { offset: 2_000, timestamp: 1, key: "o2" },
        { offset: 2_001, timestamp: 1, key: "o0" },
      ],
    };
    const [mine, theirs] = [target, source].map((at) => ask(at, "POST", "/v1/shop/streams/outbox/records", outbox));
    expect((await good(mine)).verdicts).toEqual((await good(theirs)).verdicts);
  });

  test("has its groups where they were", async () => {
    const groups = "/v1/shop/streams/orders/groups";
    const places = async (at: Running, group: string) => {
      const { partitions } = await good(ask(at, "GET", `${groups}/${group}/status`));
      return partitions.map(({ head, deadLetters, paused }: never) => ({ head, deadLetters, paused }));
    };
    for (const group of ["billing", "audit", "hooks"]) {
      expect(await places(target, group)).toEqual(await places(source, group));
      const letters = async (at: Running) => (await good(ask(at, "GET", `${groups}/${group}/dead-letters`))).letters;
      expect(await letters(target)).toEqual(await letters(source));
    }
    const drain = async (at: Running) => {
      const got: string[] = [];
      for (let turn = 0; (await good(ask(at, "GET", `${groups}/audit/status`))).lag > 0; turn++) {
        const body = { max: 500, partition: turn % 5, ...(got.length > 0 ? {} : { waitSeconds: 1 }) };
        const answer = await ask(at, "POST", `${groups}/audit/receive`, body);
        const { deliveries = [] } = answer.json;
        got.push(...deliveries.map((one: { partition: number; offset: number }) => `${one.partition}.${one.offset}`));
        const receipts = deliveries.map(({ receipt }: { receipt: string }) => receipt);
        if (receipts.length > 0) await good(ask(at, "POST", `${groups}/audit/ack`, { receipts }));
      }
      return got;
    };
    const [got, wanted] = await Promise.all([drain(target), drain(source)]);
    expect(new Set(got).size).toBe(got.length);
    expect(got.sort()).toEqual(wanted.sort());
    expect(got.length).toBeGreaterThan(100);
    await good(ask(target, "POST", `${groups}/billing/dead-letters/redrive`, { all: true }));
    const { deliveries } = await good(ask(target, "POST", `${groups}/billing/receive`, { max: 100, waitSeconds: 5 }));
    expect(deliveries.length).toBeGreaterThan(2);
  });
});

describe("where there is something", () => {
  test("a stream that exists, and a log that lives on, are not written to; a new id makes a stream of its own", async () => {
    await cli(source, "dump", "shop/outbox", "-o", file("one"));
    expect(await fails(source, "restore", file("one"))).toContain("the stream 'outbox' exists");
    expect(await fails(source, "restore", file("one"), "--stream", "outbox=copy")).toContain(
      "restore it with a new id",
    );
    expect(await fails(source, "restore", file("one"), "-n", "elsewhere")).toContain("restore it with a new id");
    // What was refused has left nothing, and taken nothing from the one that lives on.
    await pause(1_000);
    expect((await good(ask(source, "GET", "/v1/shop/streams/outbox/records"))).records.length).toBeGreaterThan(4);
    await cli(source, "restore", file("one"), "-n", "elsewhere", "--new-id", "--verify", "--stream", "outbox=copy");
    const copy = await good(ask(source, "GET", "/v1/elsewhere/streams/copy/records"));
    const original = await good(ask(source, "GET", "/v1/shop/streams/outbox/records"));
    expect(copy.records).toEqual(original.records);
    expect(copy.cursor).not.toBe(original.cursor);
    expect((await ask(source, "GET", `/v1/elsewhere/streams/copy/records?from=${original.cursor}`)).json.code).toBe(
      "wrong-log",
    );
  });

  test("a stream that was deleted comes back, with its log", async () => {
    const path = "/v1/shop/streams/outbox";
    const before = await good(ask(source, "GET", `${path}/records`));
    await cli(source, "dump", "shop/outbox", "-o", file("two"));
    expect((await ask(source, "DELETE", path)).status).toBe(204);
    for (let tries = 0; ; tries++) {
      const ran = await runCli(["restore", file("two")], { MILLRACE_URL: source.url, MILLRACE_TOKEN: token });
      if (ran.code === 0) break;
      expect(ran.err).toContain("still being deleted");
      expect(tries).toBeLessThan(20);
      await pause(500);
    }
    await pause(1_500);
    expect(await good(ask(source, "GET", `${path}/records`))).toEqual(before);
  });

  test("nobody sees a stream that is being restored, its name is taken, and it can be given up", async () => {
    const scan = new Scan(file("one"));
    const path = "/v1/half/streams/outbox";
    await good(ask(target, "PUT", "/v1/half"));
    const send = (to: string, ...names: string[]) =>
      call(target.url, "POST", path + to, scan.body(...names), scan.type);
    const dump = `?dump=${"a".repeat(64)}&newId=true`;
    expect((await send(`/restore${dump}`, "stream")).status).toBe(201);
    expect((await send("/partitions/0/restore", "keys", "marks")).json).toMatchObject({
      marks: true,
      next: 0,
      closed: false,
    });
    for (const [method, to] of [
      ["GET", ""],
      ["GET", "/records"],
      ["PUT", ""],
      ["PUT", "/groups/g"],
      ["GET", "/partitions/0"],
    ]) {
      const answer = await ask(target, method, path + to, method === "PUT" ? {} : undefined);
      expect(answer.json.code, `${method} ${to}`).toBe("restoring");
    }
    const append = { records: [{ offset: 1, timestamp: 1 }] };
    expect((await ask(target, "POST", `${path}/records`, append)).json.code).toBe("restoring");
    expect((await ask(target, "POST", `${path}/restore/finish`)).json).toMatchObject({
      code: "restore-gap",
      partition: 0,
    });
    expect((await send(`/restore?dump=${"b".repeat(64)}`, "stream")).json.code).toBe("conflict");
    expect((await send("/partitions/0/restore", "close")).json).toMatchObject({ code: "restore-gap" });
    expect((await send("/partitions/0/restore", "chunk")).status).toBe(200);
    expect((await send("/partitions/0/restore", "chunk")).status).toBe(200);
    expect((await send("/partitions/0/restore", "close")).json).toMatchObject({ closed: true });
    expect((await ask(target, "DELETE", path)).status).toBe(204);
    expect((await ask(target, "GET", path)).json.code).toBe("stream-not-found");
    expect((await ask(target, "DELETE", path)).json.code).toBe("stream-not-found");
    expect((await ask(target, "PUT", path, {})).status).toBe(201);
  });
});

describe("over its death", () => {
  test("dumps that are killed are gone on with, and come out the same", async () => {
    await cli(source, "dump", "shop", "-o", file("whole"));
    for (let round = 0; round < times(1, 5); round++) {
      for (let kills = 0; ; kills++) {
        const dumping = start(["dump", "shop", "-o", file("killed"), "--resume"], {
          MILLRACE_URL: source.url,
          MILLRACE_TOKEN: token,
        });
        const ended = await Promise.race([dumping.ended, pause(300 + Math.random() * 300 + kills * times(100, 80))]);
        if (ended !== undefined && ended.code === 0) break;
        dumping.child.kill("SIGKILL");
        await dumping.ended;
        expect(kills).toBeLessThan(80);
      }
      expect(same("whole", "killed"), `round ${round}`).toBe(true);
      rmSync(file("killed"));
    }
  });

  test("a file that was cut anywhere is gone on with", async () => {
    const size = statSync(file("whole")).size;
    for (let round = 0; round < times(4, 12); round++) {
      copyFileSync(file("whole"), file("cut"));
      const at = Math.floor(Math.random() * size);
      truncateSync(file("cut"), at);
      expect((await runCli(["verify", file("cut")])).code).toBe(1);
      if (at < 8) continue;
      await cli(source, "dump", "shop", "-o", file("cut"), "--resume");
      expect(same("whole", "cut"), `cut at ${at}`).toBe(true);
    }
  });

  test("restores that are killed, with the service, are gone on with", async () => {
    let victim = await service("killed");
    const data = join(folder, "data-killed");
    await victim.stop("SIGKILL");
    victim = await run({ data, token, archive: { ...archive, MILLRACE_S3_BUCKET: "worker" } });
    running.push(victim);
    for (let kills = 0; ; kills++) {
      const restoring = start(["restore", file("whole"), "--verify"], {
        MILLRACE_URL: victim.url,
        MILLRACE_TOKEN: token,
      });
      const ended = await Promise.race([restoring.ended, pause(300 + Math.random() * 500 + kills * times(250, 60))]);
      if (ended !== undefined && ended.code === 0) break;
      restoring.child.kill("SIGKILL");
      await restoring.ended;
      if (kills % 3 === 2) {
        await victim.stop("SIGKILL");
        victim = await run({ data, token, archive: { ...archive, MILLRACE_S3_BUCKET: "worker" } });
        running.push(victim);
      }
      expect(kills).toBeLessThan(60);
    }
    await cli(victim, "dump", "shop", "-o", file("after"));
    expect(same("whole", "after")).toBe(true);
  });
});

describe("a file", () => {
  test("is found damaged wherever a byte is flipped, with the place", async () => {
    const whole = readFileSync(file("one"));
    for (let at = 0; at < whole.length; at += times(5, 1)) {
      const spoilt = Buffer.from(whole);
      spoilt[at] ^= 1 << (at % 8);
      writeFileSync(file("spoilt"), spoilt);
      const { damages } = await findings(file("spoilt"));
      expect(damages.length, `byte ${at}`).toBeGreaterThan(0);
      expect(damages[0].at, `byte ${at}`).toBeLessThanOrEqual(at);
    }
    const said = await fails(target, "verify", file("spoilt"));
    expect(said).toMatch(/byte \d+ \(block \d+; stream outbox/);
    expect(await fails(target, "restore", file("spoilt"), "-n", "hostile")).toContain("is damaged: byte");
    expect((await ask(target, "GET", "/v1/hostile")).json.code).toBe("namespace-not-found");
  });

  test("is found damaged where a whole block is missing, stands twice, or in another's place", async () => {
    const whole = readFileSync(file("a"));
    const blocks = new Scan(file("a")).blocks.map(({ bytes }) => Buffer.from(bytes));
    const spoilt = async (list: Buffer[]) => {
      writeFileSync(file("spoilt"), Buffer.concat([whole.subarray(0, 8), ...list]));
      return (await findings(file("spoilt"))).damages.length;
    };
    expect(await spoilt(blocks)).toBe(0);
    for (let at = 0; at < blocks.length; at += Math.ceil(blocks.length / 40)) {
      const [one, next] = [blocks[at], blocks[at + 1] ?? blocks[0]];
      const [before, after] = [blocks.slice(0, at), blocks.slice(at + 1)];
      expect(await spoilt([...before, ...after]), `without ${at}`).toBeGreaterThan(0);
      expect(await spoilt([...before, one, one, ...after]), `twice ${at}`).toBeGreaterThan(0);
      if (at + 1 < blocks.length) {
        expect(await spoilt([...before, next, one, ...after.slice(1)]), `other ${at}`).toBeGreaterThan(0);
      }
    }
  });

  test("is compressed by its name, and through a pipe", async () => {
    await cli(source, "dump", "shop/outbox", "-o", file("z.gz"));
    expect(readFileSync(file("z.gz"))[0]).toBe(0x1f);
    expect((await cli(target, "verify", file("z.gz"))).out).toContain("intact: 1 stream");
    expect(statSync(file("z.gz")).mode & 0o077).toBe(0);
    expect(existsSync(file("z.gz.new"))).toBe(false);
    await cli(target, "restore", file("z.gz"), "-n", "zipped", "--new-id");
    const records = async (at: Running, ns: string) =>
      (await good(ask(at, "GET", `/v1/${ns}/streams/outbox/records`))).records;
    expect(await records(target, "zipped")).toEqual(await records(source, "shop"));
    const refused = await runCli(["dump", "shop", "-o", file("z.gz")], {
      MILLRACE_URL: source.url,
      MILLRACE_TOKEN: token,
    });
    expect(refused).toMatchObject({ code: 2 });
    // A stream's name alone is taken for a namespace's: it is said how the stream is named.
    const nowhere = await runCli(["dump", "outbox", "-n", "shop", "-o", file("nowhere")], {
      MILLRACE_URL: source.url,
      MILLRACE_TOKEN: token,
    });
    expect(nowhere).toMatchObject({ code: 2, err: expect.stringContaining("shop/outbox") });
  });
});

test("a stream that is appended to, and worked on, is dumped as of one moment", async () => {
  const live = new Millrace({ url: source.url, token, namespace: "shop" }).stream<number>("live");
  await live.put({ partitions: 2 });
  const group = live.group("work");
  await group.put({});
  let stop = false;
  let sent = 0;
  const writing = (async () => {
    for (const producer = live.producer({ id: "w" }); ; ) {
      if (stop) return producer.close();
      for (let n = 0; n < 50; n++) await producer.push({ key: `k${sent % 7}`, data: sent++ });
      await producer.flush();
      await pause(100);
    }
  })();
  const consumer = group.consume(async () => {});
  await pause(500);
  for (const round of [1, 2]) {
    await cli(source, "dump", "shop/live", "-o", file(`live-${round}`), "--verify");
    await cli(target, "restore", file(`live-${round}`), "-n", `live-${round}`, "--new-id", "--verify", "--resume");
    const copy = new Millrace({ url: target.url, token, namespace: `live-${round}` }).stream<number>("live");
    const all = new Set<string>();
    const left = new Set<string>();
    for await (const { partition, offset } of copy.read()) all.add(`${partition}.${offset}`);
    expect(all.size).toBeGreaterThan(0);
    const { partitions } = await good(ask(target, "GET", `/v1/live-${round}/streams/live/groups/work/status`));
    for (const { partition, head, tail } of partitions) {
      expect(head).toBeLessThanOrEqual(tail);
      for (let offset = head; offset < tail; offset++) left.add(`${partition}.${offset}`);
    }
    const got = new Set<string>();
    for (let empty = 0; empty < 2; ) {
      const { deliveries } = await good(
        ask(target, "POST", `/v1/live-${round}/streams/live/groups/work/receive`, { max: 1_000, waitSeconds: 1 }),
      );
      empty = deliveries.length === 0 ? empty + 1 : 0;
      for (const one of deliveries) got.add(`${one.partition}.${one.offset}`);
      const receipts = deliveries.map(({ receipt }: { receipt: string }) => receipt);
      if (receipts.length > 0)
        await good(ask(target, "POST", `/v1/live-${round}/streams/live/groups/work/ack`, { receipts }));
    }
    // What the group had not finished comes, and nothing that is not there.
    for (const one of got) expect(all.has(one)).toBe(true);
    const again = await good(ask(target, "GET", `/v1/live-${round}/streams/live/groups/work/status`));
    expect(again.lag).toBe(0);
  }
  stop = true;
  await Promise.all([writing, consumer.stop()]);
});
