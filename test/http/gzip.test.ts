/** Bodies that are packed: whatever they come to is taken whole, and one that comes to a thousandfold harms nobody. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const stream = "/v1/default/streams/packed";
beforeAll(async () => {
  millrace = await service();
  await millrace.call("PUT", stream, {});
});
afterAll(() => millrace.end());

const send = (body: BodyInit, type: string, query = "") =>
  fetch(`${millrace.url}${stream}/records${query}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": type, "content-encoding": "gzip" },
    body,
    duplex: "half",
  } as RequestInit);

const zeros = (bytes: number) => Buffer.alloc(bytes);
const mixed = (bytes: number) =>
  Buffer.concat([randomBytes(bytes >> 2), zeros(bytes >> 1), randomBytes(bytes - (bytes >> 2) - (bytes >> 1))]);

test.each([1, 250, 1_000, 5_000, 66_000, 300_000, 900_000])("%i bytes are what they were", async (bytes) => {
  for (const body of [randomBytes(bytes), zeros(bytes), mixed(bytes)]) {
    const packed = gzipSync(body);
    const pieces = Array.from({ length: 4 }, (_, i) =>
      packed.subarray((packed.length * i) >> 2, (packed.length * (i + 1)) >> 2),
    );
    const chunked = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          for (const piece of pieces) if (piece.length > 0) controller.enqueue(piece);
          controller.close();
        },
      });
    for (const sent of [packed, chunked()]) {
      const answer = await send(sent, "application/octet-stream", "?raw=true");
      const { verdicts } = (await answer.json()) as { verdicts: { offset: number }[] };
      expect(answer.status).toBe(201);
      const { json } = await millrace.call("GET", `${stream}/records?from=${verdicts[0].offset}&limit=1`);
      expect(Buffer.from(json.records[0].data_base64, "base64").equals(body)).toBe(true);
    }
  }
});

test("as much as a batch may have is taken, however small it was packed; a byte more is not", async () => {
  const record = JSON.stringify({ data: "x".repeat(900_000) });
  const count = Math.floor(limits.batchBytesMax / (record.length + 1));
  const lines = `${record}\n`.repeat(count);
  const whole = lines + "\n".repeat(limits.batchBytesMax - lines.length);
  expect((await send(gzipSync(whole), "application/x-ndjson", "?verdicts=runs")).status).toBe(201);
  expect((await send(gzipSync(`${whole}\n`), "application/x-ndjson", "?verdicts=runs")).status).toBe(413);
});

const residentMb = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${millrace.pid}/status`, "utf8"))?.[1]) / 1_024;

test("many that come to a thousandfold are refused, and little is held for them", { timeout: 60_000 }, async () => {
  const bomb = gzipSync(zeros(64 * 1_048_576));
  const before = residentMb();
  let highest = before;
  const looking = setInterval(() => {
    highest = Math.max(highest, residentMb());
  }, 50);
  const answers = await Promise.all(Array.from({ length: 32 }, () => send(bomb, "application/x-ndjson")));
  clearInterval(looking);
  for (const { status } of answers) expect([413, 429]).toContain(status);
  // What an isolate reads at once, and some of a slice of each.
  expect(highest - before).toBeLessThan(300);
  expect((await send(gzipSync('{"data":1}\n'), "application/x-ndjson")).status).toBe(201);
});
