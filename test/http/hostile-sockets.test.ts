/** Messages of every kind, sent to a stream's socket: it is told what is wrong, and nobody else notices. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { errors } from "../../schemas/errors.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const value = fc.oneof(
  fc.constantFrom<unknown>(null, -1, 0, 1, 1.5, 2 ** 32, 2 ** 53, "", "latest", "-5", "a", [], {}, [{}], [[]], true),
  fc.jsonValue({ maxDepth: 2 }),
);
const type = fc.constantFrom("subscribe", "append", "credit", "unsubscribe", "toString", "__proto__", "");
const fields = [
  "id",
  "from",
  "credits",
  "partition",
  "filter",
  "records",
  "producer",
  "atomic",
  "expectedOffset",
  "fence",
];
/** Objects that are nearly messages. */
const nearly = fc
  .tuple(type, fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 6 }))
  .map(([type, rest]) => JSON.stringify({ type, id: 1, credits: 5, records: [{ key: "k" }], ...rest }));
const writer = new FrameWriter();
writer.add({ kind: 1, data: encodeText("1"), key: "k" });
const [frame] = writer.finish(0);
const whole = new Uint8Array(8 + frame.length);
whole[0] = 1;
whole.set(frame, 8);
/** A binary append with some bytes changed, cut or added. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc.tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length)).map(([at, byte, length]) => {
    const changed = whole.slice(0, length);
    if (at < changed.length) changed[at] = byte;
    return changed;
  }),
);
const message = fc.oneof(
  fc.string(),
  nearly,
  nearly,
  nearly,
  bytes,
  fc.tuple(nearly, nearly).map((two) => two.join("\n")),
);

test.each([1, 2])("on %i partitions", async (partitions) => {
  const stream = `/v1/default/streams/hostile-${partitions}`;
  await millrace.call("PUT", stream, { partitions });
  const open = (protocol: string) =>
    StreamSocket.open(`${millrace.url}${stream}/live`, {
      headers: { authorization: `Bearer ${token}` },
      protocols: [protocol],
    });
  const bystander = await open("millrace.v1");
  bystander.send({ type: "subscribe", id: 1, credits: 10_000 });
  await bystander.untilOf("heartbeat");
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 8 }), fc.boolean(), async (messages, binary) => {
      const client = await open(binary ? "millrace.v1.binary" : "millrace.v1");
      for (const one of messages) {
        if (client.socket.readyState !== 1) break;
        client.socket.send(one as string);
      }
      client.send("ping");
      // It is still there, or it was told why not.
      await client.until(() => client.pongs > 0 || client.closed !== undefined);
      for (const { code, detail } of client.of("error")) {
        expect(errors).toHaveProperty(code);
        expect(code).not.toBe("internal");
        expect(detail).not.toBe("");
      }
      if (client.closed !== undefined) {
        expect(client.closed.code).toBe(1008);
        expect(client.of("error").at(-1)).toMatchObject({ fatal: true });
      }
      client.socket.close();
    }),
    { numRuns: 150 },
  );
  expect(bystander.closed).toBeUndefined();
  const before = bystander.records().length;
  await millrace.call("POST", `${stream}/records`, { records: [{ key: "after", data: "all of it" }] });
  await bystander.until(() => bystander.records().some(({ key }) => key === "after"));
  expect(bystander.records().length).toBeGreaterThan(before);
  // What was taken is sound.
  for (let partition = 0; partition < partitions; partition++) {
    const { json } = await millrace.call("POST", `${stream}/partitions/${partition}/verify`);
    expect(json.intact).toBe(true);
  }
  bystander.socket.close();
});
