/** What changes between any two requests of a dump: the file is of one stream, is found intact, and can be restored. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { dump } from "../../src/cli/dump/dump.ts";
import { jsonIn } from "../../src/cli/dump/pages.ts";
import { restore } from "../../src/cli/dump/restore.ts";
import { findings } from "../../src/cli/dump/verify.ts";
import { long } from "../cases/long.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
let proxy: Server;
/** Called before a request of the dump is passed on. */
let passing: (url: string) => Promise<void> = async () => {};
/** What becomes of an answer on its way. */
let arriving: (url: string, body: Buffer) => Buffer = (_, body) => body;
/** Why the change could not be made. */
let failed: unknown;
const folder = mkdtempSync(join(tmpdir(), "millrace-changing-"));

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

beforeAll(async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  millrace = await service();
  proxy = createServer(async (request, response) => {
    await bodyOf(request);
    await passing(request.url as string).catch((error) => {
      failed = error;
    });
    const answer = await fetch(millrace.url + request.url, { headers: { authorization: `Bearer ${token}` } });
    const headers = ["content-type", "millrace-bytes", "millrace-next", "millrace-origin"].flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value] as const];
    });
    response.writeHead(answer.status, Object.fromEntries(headers));
    response.end(arriving(request.url as string, Buffer.from(await answer.arrayBuffer())));
  }).listen(0, "127.0.0.1");
});
afterAll(async () => {
  vi.restoreAllMocks();
  proxy.closeAllConnections();
  proxy.close();
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const ask = async (method: string, path: string, body?: object) => {
  const answer = await millrace.call(method, path, body);
  expect(answer.status, `${method} ${path}: ${answer.text}`).toBeLessThan(300);
  return answer.json;
};
/** Keys whose order is another by code points than by the units of a text are among them. */
const keyOf = (n: number) => ["\u{1F600}", "\uFF01", "a"][n] ?? `k${n}`;
const append = (path: string, tag: string) =>
  ask("POST", `${path}/records`, {
    records: Array.from({ length: 40 }, (_, n) => ({ key: keyOf(n), id: `${tag}-${n}`, data: tag })),
  });

async function make(path: string, tag: string, keyIndex = true): Promise<void> {
  await ask("PUT", path, { partitions: 2, keyIndex });
  await ask("PUT", `${path}/groups/g`, { start: "earliest", maxDeliveries: 1, onFailure: "skip" });
  await append(path, tag);
}

const trim = (path: string, to: (tail: number) => number) =>
  Promise.all(
    [0, 1].map(async (partition) => {
      const { tail } = await ask("GET", `${path}/partitions/${partition}`);
      await ask("POST", `${path}/partitions/${partition}/trim`, { beforeOffset: to(tail) });
    }),
  );

const anew = /deleted and made anew/;
/** What changes; and what a dump says that began before it, where it cannot go on. */
const changes: Record<string, { readonly change: (path: string) => Promise<unknown>; readonly says?: RegExp }> = {
  nothing: { change: async () => {} },
  "the stream grows, and is appended to": {
    change: async (path) => {
      await ask("PUT", path, { partitions: 4 });
      await append(path, "more");
    },
  },
  "the stream grows, and its group begins anew": {
    change: async (path) => {
      await ask("PUT", path, { partitions: 4 });
      await ask("POST", `${path}/groups/g/seek`, { to: "earliest" });
    },
  },
  "half is trimmed": { change: (path) => trim(path, (tail) => Math.floor(tail / 2)) },
  "everything is trimmed": { change: (path) => trim(path, (tail) => tail) },
  "everything is trimmed, and more": {
    change: async (path) => {
      await append(path, "more");
      await trim(path, (tail) => tail - 1);
    },
  },
  "the stream is made anew": {
    change: async (path) => {
      await ask("DELETE", path);
      await make(path, "new");
    },
    says: anew,
  },
  "the namespace is made anew": {
    change: async (path) => {
      const namespace = path.split("/streams/")[0];
      await ask("DELETE", `${namespace}?force=true`);
      await ask("PUT", namespace);
      await make(path, "new");
    },
    says: anew,
  },
  "the group is made anew": {
    change: async (path) => {
      await ask("DELETE", `${path}/groups/g`);
      await ask("PUT", `${path}/groups/g`, { start: "latest" });
    },
  },
  "the group is paused, and resumed": {
    change: async (path) => {
      await ask("POST", `${path}/groups/g/pause`, { reason: "r" });
      await ask("POST", `${path}/groups/g/resume`);
    },
  },
  "the configuration is another": {
    change: (path) => ask("PATCH", path, { recordBytesMax: 100, deduplicationWindowMs: 0, batchBytesMax: 20_000 }),
  },
  "a key is forgotten": { change: (path) => ask("POST", `${path}/erasures`, { key: "a", id: "E" }) },
};

/** Restores a file beside the original, and gives what is in it: tags by partitions. */
async function restored(file: string, namespace: string): Promise<string[]> {
  await restore({ file, url: millrace.url, token, namespace, stream: "s=copy", newId: true, verify: true });
  const path = `/v1/${namespace}/streams/copy`;
  const { partitions } = await ask("GET", `${path}/partitions`);
  const tags: string[] = [];
  for (const { partition } of partitions) {
    const { records } = await ask("GET", `${path}/records?partition=${partition}&from=earliest&limit=1000`);
    tags.push(...records.map(({ data }: { data: string }) => data));
    await ask("POST", `${path}/partitions/${partition}/verify`);
  }
  await append(path, "after");
  // A group that waited for what is not there would be given nothing.
  await ask("POST", `${path}/groups/g/resume`);
  const { deliveries } = await ask("POST", `${path}/groups/g/receive`, { max: 100, waitSeconds: 5 });
  expect(deliveries.length).toBeGreaterThan(0);
  return tags;
}

/** The requests of a dump, in their order: stream, places, and of each partition keys, state, records. */
const requests = 9;

describe.each(Object.entries(changes))("%s", (name, { change, says }) => {
  const number = Object.keys(changes).indexOf(name);
  const grows = name.includes("grows");
  // Every change in a third of the places; in all of them in soak:tests.
  const places = Array.from({ length: grows ? requests - 2 : requests }, (_, at) => at);
  test.each(places.filter((at) => long || (at + number) % 3 === 0))(
    "before request %i",
    { timeout: 300_000 },
    async (at) => {
      const namespace = `n${number}-${at}`;
      const path = `/v1/${namespace}/streams/s`;
      const file = join(folder, namespace);
      await ask("PUT", `/v1/${namespace}`);
      // One with a key index cannot grow.
      await make(path, "old", !grows);
      failed = undefined;
      const asked: string[] = [];
      passing = async (url) => {
        if (asked.push(url) === at + 1) await change(path);
      };
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const dumping = dump({ what: `${namespace}/s`, output: file, url, token });
      if (says !== undefined && at > 0) return expect(dumping).rejects.toThrow(says);
      await dumping;
      expect(failed).toBeUndefined();
      expect(asked.length).toBeGreaterThan(at);
      expect((await findings(file)).damages).toEqual([]);
      const tags = await restored(file, namespace);
      // A file is of one stream.
      expect(tags.includes("old") && tags.includes("new")).toBe(false);
      if (!/trimmed|forgotten/.test(name)) expect(tags.filter((tag) => tag !== "more")).toHaveLength(40);
    },
  );
});

describe("a group that is made anew while it is dumped", () => {
  let made = 0;
  /** Makes a stream, and its group anew before so many requests for a place. */
  async function dumping(namespace: string, times: number, more: () => Promise<unknown> = async () => {}) {
    const path = `/v1/${namespace}/streams/s`;
    await ask("PUT", `/v1/${namespace}`);
    await make(path, "old", false);
    made = 0;
    passing = async (url) => {
      if (!url.includes("/groups/g/dump") || made >= times) return;
      made++;
      await ask("DELETE", `${path}/groups/g`);
      await more();
      await ask("PUT", `${path}/groups/g`, { start: "earliest", maxInFlight: made });
    };
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const file = join(folder, namespace);
    await dump({ what: `${namespace}/s`, output: file, url, token });
    return file;
  }

  test("is begun again, and is the one that was there at the end", async () => {
    const file = await dumping("again", 4);
    expect(made).toBe(4);
    const groups: unknown[] = [];
    const { damages } = await findings(file, ({ block }) => {
      if (block.ok && block.value.name === "group") groups.push(jsonIn(block.value));
    });
    expect(damages).toEqual([]);
    expect(groups).toMatchObject([{ group: "g", config: { maxInFlight: 4 } }]);
    expect(await restored(file, "again")).toHaveLength(40);
  });

  test("is of the stream that is dumped, though that has grown meanwhile", async () => {
    const file = await dumping("grown", 1, () => ask("PUT", "/v1/grown/streams/s", { partitions: 4 }));
    expect((await findings(file)).damages).toEqual([]);
    expect(await restored(file, "grown")).toHaveLength(40);
  });

  test("again and again ends the dump", async () => {
    await expect(dumping("ever", Number.POSITIVE_INFINITY)).rejects.toThrow("made anew 5 times while it was dumped");
    expect(made).toBe(5);
  });

  test("is left out where it is there no more", async () => {
    const path = "/v1/less/streams/s";
    await ask("PUT", "/v1/less");
    await make(path, "old");
    await ask("PUT", `${path}/groups/h`, { start: "earliest" });
    let isGone = false;
    passing = async (url) => {
      if (isGone || !url.includes("/groups/g/dump")) return;
      isGone = true;
      await ask("DELETE", `${path}/groups/g`);
    };
    const file = join(folder, "less");
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    await dump({ what: "less/s", output: file, url, token });
    const { damages, outline } = await findings(file);
    expect([damages, outline.state.totals.groups]).toEqual([[], 1]);
  });
});

/** What something in between makes of an answer, whose length is right then. */
const spoilt: Record<string, (body: Buffer) => Buffer> = {
  empty: (body) => body.subarray(0, 0),
  "cut in its middle": (body) => body.subarray(0, body.length >> 1),
  "cut behind its first block": (body) => body.subarray(0, 12 + body.readUInt32LE(8)),
  "changed in one bit": (body) => Buffer.from(body.with(body.length - 1, body[body.length - 1] ^ 1)),
  "there twice": (body) => Buffer.concat([body, body]),
};

describe.each(Object.entries(spoilt))("answers that come %s", (name, spoil) => {
  const url = () => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const asItIs = () => {
    arriving = (_, body) => body;
  };

  test("are asked for again, and named where they stay so", { timeout: 300_000 }, async () => {
    const ns = `spoilt${Object.keys(spoilt).indexOf(name)}`;
    await ask("PUT", `/v1/${ns}`);
    await make(`/v1/${ns}/streams/s`, "old");
    passing = async () => {};
    const [whole, file, never] = ["whole", "file", "never"].map((one) => join(folder, `${ns}-${one}`));
    await dump({ what: `${ns}/s`, output: whole, url: millrace.url, token });
    const seen = new Set<string>();
    let changed = 0;
    arriving = (path, body) => {
      if (seen.has(path) || body.length === 0) return body;
      seen.add(path);
      if (!spoil(body).equals(body)) changed++;
      return spoil(body);
    };
    await dump({ what: `${ns}/s`, output: file, url: url(), token }).finally(asItIs);
    expect(changed).toBeGreaterThan(0);
    expect(readFileSync(file).equals(readFileSync(whole))).toBe(true);
    arriving = (path, body) => (path.includes("part=state") ? spoil(body) : body);
    const ever = dump({ what: `${ns}/s`, output: never, url: url(), token }).finally(asItIs);
    // Marks are all that this state has.
    if (name.includes("first block")) return ever;
    await expect(ever).rejects.toThrow(/GET \/streams\/s\/partitions\/0\/dump is not what was asked for: /);
  });
});
