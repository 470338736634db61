/** A push whose record no request can be made of: it was stored before content types were checked. */
import { afterEach, expect, test, vi } from "vitest";
import { pushTarget } from "../../schemas/group.ts";
import { concat } from "../../src/lib/bytes.ts";
import { flags } from "../../src/log/frame.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { Attempts } from "../../src/objects/attempts.ts";
import { Pusher } from "../../src/objects/pusher.ts";
import { Rig, value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

test("it fails alone, as an attempt without an answer, and the others, and the receiver, are as they were", async () => {
  const sent: string[] = [];
  vi.stubGlobal("fetch", async (_url: string, init: RequestInit) => {
    sent.push(new TextDecoder().decode(init.body as Uint8Array));
    return new Response(null, { status: 204 });
  });
  const push = pushTarget.parse({ url: "http://127.0.0.1:9/", concurrency: 1 });
  const rig = new Rig(nodeSql(), nodeSql(), { push, maxDeliveries: 2, onFailure: "park", backoff: [0] });
  rig.now = Date.now();
  rig.delivery.state.configure({ ...rig.delivery.state.spec, privateTargets: true, version: 2 });
  const record = (key: string, type?: string) => ({
    key,
    kind: 2 as const,
    data: new TextEncoder().encode(key),
    ...(type === undefined ? {} : { datacontenttype: type }),
  });
  // What is refused today was taken once: a batch that nobody looked at.
  const writer = new FrameWriter();
  for (const one of [record("a"), record("bad", "no\nmedia type"), record("c"), record("d")]) writer.add(one);
  const stored = { bytes: concat(writer.finish(flags.checked)), hashes: Uint32Array.of(0), terms: {} };
  value(rig.log.append([stored], rig.now)[0]);
  rig.delivery.state.known = rig.log.span.tail;
  const pause = vi.fn();
  const attempts = new Attempts(rig.delivery.state);
  const settled = () => {
    rig.delivery.expire(Date.now(), () => 0);
    rig.fill();
    pusher.run();
  };
  const pusher = new Pusher({ core: rig.delivery, attempts, stopped: false, settled, pause });
  settled();
  await expect.poll(() => sent.length + rig.letters().length).toBe(4);
  expect(sent.toSorted()).toEqual(["a", "c", "d"]);
  expect(rig.letters()).toMatchObject([
    { offset: 1, tries: [{ reason: expect.stringContaining("datacontenttype") }, { attempt: 2 }] },
  ]);
  expect(attempts.list.filter(({ error }) => error !== undefined)).toMatchObject([
    { records: 1, attempt: 1, error: expect.stringContaining("cannot be made into a request") },
    { records: 1, attempt: 2 },
  ]);
  expect(pause).not.toHaveBeenCalled();
  attempts.stop();
});
