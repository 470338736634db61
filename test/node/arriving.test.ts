/** Bodies as they come: who drips is left in time, and what came fast before allows no pauses where it is measured anew. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Arriving, BodyFault } from "../../src/http/arriving.ts";
import { readBody } from "../../src/http/body.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([
  ["counts for what follows", false, 300_000, 400_000],
  ["counts no more where it begins anew", true, 15_000, 40_000],
])("a MiB that came at once %s", async (_, anew, least, most) => {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new Uint8Array(1_048_576));
      setInterval(() => controller.enqueue(new Uint8Array(1)), 5_000);
    },
  });
  const arriving = new Arriving(body, 3_072);
  await arriving.next();
  if (anew) arriving.anew();
  const began = Date.now();
  const reading = (async () => {
    for (;;) await arriving.next();
  })().catch((error) => [error, Date.now() - began]);
  await vi.advanceTimersByTimeAsync(600_000);
  const [error, ms] = await reading;
  expect(error).toBeInstanceOf(BodyFault);
  expect(arriving.fault?.refusal.code).toBe("body-too-slow");
  expect(ms).toBeGreaterThan(least);
  expect(ms).toBeLessThan(most);
});

test("of a body no more is asked for, before there is room, than a quarter of what has come, or 8 KiB", async () => {
  const length = 3_000_000;
  const asked: number[] = [];
  let came = 0;
  const body = new ReadableStream({
    type: "bytes",
    pull(controller) {
      const request = (controller as ReadableByteStreamController).byobRequest as ReadableStreamBYOBRequest;
      const { byteLength } = request.view as ArrayBufferView;
      asked.push(byteLength);
      expect(byteLength).toBeLessThanOrEqual(Math.max(8_192, came / 4));
      came += byteLength;
      request.respond(byteLength);
    },
  });
  const request = { headers: new Headers({ "content-length": String(length) }), body } as Request;
  expect(await readBody(request, length)).toMatchObject({ ok: true, value: { length } });
  // It comes in few calls all the same.
  expect(asked.length).toBeLessThan(40);
});
