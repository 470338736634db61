/** Restores that lie: whatever is sent, nothing of it can be seen, and nothing breaks. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { type BlockName, blocks, writeBlock } from "../../src/archive/dump.ts";
import { ofRestore } from "../../src/http/operation.ts";
import { operations } from "../../src/http/operations.ts";
import { concat } from "../../src/lib/bytes.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
const type = { "content-type": "application/vnd.millrace.dump" };
const source = "/v1/default/streams/source";
let parts: { name: BlockName; payload: Uint8Array }[] = [];
let stream: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  millrace = await service();
  await millrace.call("PUT", source, {});
  for (let n = 0; n < 4; n++) {
    const records = Array.from({ length: 5 }, (_, i) => ({ key: `k${i}`, id: `${n}-${i}`, data: { n, i } }));
    await millrace.call(
      "POST",
      `${source}/records`,
      { records },
      { "producer-id": "p", "producer-epoch": "0", "producer-seq": `${n}` },
    );
  }
  const get = async (path: string) => {
    const answer = await fetch(`${millrace.url}${path}`, { headers: { authorization: "Bearer test-token" } });
    expect(answer.status).toBe(200);
    return new Uint8Array(await answer.arrayBuffer());
  };
  stream = (await get(`${source}/dump`)) as Uint8Array<ArrayBuffer>;
  const bytes = concat([await get(`${source}/partitions/0/dump?part=state`), await get(`${source}/partitions/0/dump`)]);
  const byType = new Map(Object.entries(blocks).map(([name, number]) => [number as number, name as BlockName]));
  for (let at = 0; at < bytes.length; ) {
    const view = new DataView(bytes.buffer, at);
    const length = view.getUint32(8, true);
    parts.push({
      name: byType.get(view.getUint32(4, true)) as BlockName,
      payload: bytes.slice(at + 12, at + 12 + length),
    });
    at += 12 + length;
  }
  parts = [...parts, { name: "close", payload: new TextEncoder().encode('{"partition":0,"chunks":4,"records":20}') }];
  const begun = await millrace.call(
    "POST",
    "/v1/default/streams/copy/restore?newId=true&dump=".concat("a".repeat(64)),
    stream,
    type,
  );
  expect(begun.status, begun.text).toBe(201);
});
afterAll(() => millrace.end());

const copy = "/v1/default/streams/copy/partitions/0/restore";
const send = (bytes: Uint8Array, to = copy) => millrace.call("POST", to, bytes as Uint8Array<ArrayBuffer>, type);

/** Some of the blocks, in some order, each perhaps spoilt behind its checksum. */
const lies = fc.array(
  fc.record({
    place: fc.nat({ max: 6 }),
    name: fc.option(fc.constantFrom(...(Object.keys(blocks) as BlockName[])), { freq: 5 }),
    flips: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }),
    cut: fc.option(fc.nat({ max: 60 }), { freq: 5 }),
    raw: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);

/** What is asked of the stream that is being restored is refused so, and the reference says it of each operation that is. */
async function expectListed(): Promise<void> {
  let found = 0;
  for (const [template, methods] of Object.entries(operations)) {
    const path = template.replace(":ns", "default").replace(":stream", "copy").replace(/:\w+/g, "0");
    for (const [method, { refusals }] of Object.entries(methods)) {
      if (!template.includes(":stream") || refusals === ofRestore) continue;
      const { json } = await millrace.call(method, path, method === "GET" ? undefined : {});
      if (json?.code !== "restoring") continue;
      found++;
      expect(refusals, `${method} ${template}`).toContain("restoring");
    }
  }
  expect(found).toBeGreaterThan(20);
}

test("five hundred lying bodies are refused with a problem, and what is right is taken afterwards", async () => {
  let refused = 0;
  for (const some of fc.sample(lies, 500)) {
    const bytes = some.map(({ place, name, flips, cut, raw }) => {
      const part = parts[place % parts.length];
      const payload = part.payload.slice(0, cut === null ? undefined : -cut - 1);
      if (!raw && payload.length > 0) for (const [at, by] of flips) payload[at % payload.length] ^= by;
      const block = writeBlock(name ?? part.name, payload);
      if (raw) for (const [at, by] of flips) block[at % block.length] ^= by;
      return block;
    });
    const answer = await send(concat(bytes));
    expect(answer.status, answer.text).toBeLessThan(500);
    if (answer.status < 400) continue;
    refused++;
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect((await millrace.call("POST", "/v1/default/streams/copy/restore/finish")).status).toBe(409);
  }
  expect(refused).toBeGreaterThan(450);
  expect((await millrace.call("GET", "/v1/default/streams/copy")).json.code).toBe("restoring");
  await expectListed();
  // A lie that agreed with itself may have been taken for the truth: then it is given up, and begun anew.
  await millrace.call("DELETE", "/v1/default/streams/copy");
  await send(stream, "/v1/default/streams/copy/restore?newId=true&dump=".concat("b".repeat(64)));
  const whole = await send(concat(parts.map(({ name, payload }) => writeBlock(name, payload))));
  expect(whole.json, whole.text).toMatchObject({ closed: true, next: 20 });
  expect((await millrace.call("POST", "/v1/default/streams/copy/restore/finish")).status).toBe(200);
  const read = async (path: string) => (await millrace.call("GET", `${path}/records`)).json.records;
  expect(await read("/v1/default/streams/copy")).toEqual(await read(source));
  expect((await send(concat(parts.map(({ name, payload }) => writeBlock(name, payload))))).json.code).toBe("conflict");
});

test("bodies and blocks are bounded", async () => {
  await send(stream, "/v1/default/streams/big/restore?newId=true&dump=".concat("c".repeat(64)));
  const to = "/v1/default/streams/big/partitions/0/restore";
  const half = writeBlock("keys", new Uint8Array(limits.dumpBlockBytesMax - 12));
  expect((await send(concat([half, half]), to)).json).toMatchObject({
    code: "bad-dump",
    detail: expect.stringContaining("not JSON"),
  });
  // Packed, because an answer that comes before the body is sent breaks the connection.
  const packed = gzipSync(concat([half, half, Uint8Array.of(0)]));
  const more = await millrace.call("POST", to, packed, { ...type, "content-encoding": "gzip" });
  expect(more.json.code).toBe("body-too-large");
  const long = writeBlock("keys", new Uint8Array(limits.dumpBlockBytesMax + 1));
  expect((await send(long, to)).json).toMatchObject({ code: "bad-dump", detail: expect.stringContaining("at most") });
  expect((await millrace.call("POST", to, "{}", { "content-type": "application/json" })).json.code).toBe(
    "unsupported-media-type",
  );
  const most = writeBlock("keys", new TextEncoder().encode(JSON.stringify([["k".repeat(limits.keyBytesMax + 1), 1]])));
  expect((await send(most, to)).json.code).toBe("bad-dump");
});

test("only who may do everything may dump or restore", async () => {
  const { json } = await millrace.call("POST", `${source}/tickets`, { rights: ["read", "append", "consume"] });
  for (const path of [`${source}/dump`, `${source}/partitions/0/dump`, `${source}/partitions/0/restore`]) {
    const answer = await fetch(`${millrace.url}${path}?ticket=${json.ticket}`);
    expect(answer.status, path).toBe(403);
  }
});
