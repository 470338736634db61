/** What was taken once is known when it comes again, whatever the stream's limits are by then: by every door. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { concat, encodeText } from "../../src/lib/bytes.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

interface Sent {
  readonly key: string;
  readonly id?: string;
  readonly source?: string;
  readonly data: string;
}
interface Named {
  readonly id: string;
  readonly epoch: number;
  readonly sequence: number;
}
/** Verdicts in words, or the code of the refusal. */
type Said = string;
interface Door {
  send(records: readonly Sent[], producer?: Named): Promise<Said>;
  close(): void;
}

function framesOf(records: readonly Sent[]): Uint8Array {
  const writer = new FrameWriter();
  for (const { data, ...rest } of records) writer.add({ ...rest, kind: 1, data: encodeText(JSON.stringify(data)) });
  return concat(writer.finish(0));
}

/** The bytes are described in docs/PROTOCOL.md. */
function binaryMessage(id: number, records: readonly Sent[], producer?: Named): Uint8Array<ArrayBuffer> {
  const terms = producer === undefined ? new Uint8Array(0) : encodeText(JSON.stringify({ producer }));
  const header = new DataView(new ArrayBuffer(8));
  header.setUint8(0, 1);
  header.setUint16(2, terms.length, true);
  header.setUint32(4, id, true);
  return new Uint8Array(concat([new Uint8Array(header.buffer), terms, framesOf(records)]));
}

const words = (list: readonly { verdict: string; partition: number; offset: number; count?: number }[]): Said =>
  list
    .flatMap(({ verdict, partition, offset, count = 1 }) =>
      Array.from({ length: count }, (_, index) => `${verdict} ${partition}:${offset + index}`),
    )
    .join(", ");

function byHttp(stream: string, packed: boolean): Door {
  return {
    async send(records, producer) {
      const numbers: Record<string, string> =
        producer === undefined
          ? {}
          : {
              "producer-id": producer.id,
              "producer-epoch": `${producer.epoch}`,
              "producer-seq": `${producer.sequence}`,
            };
      const body = packed ? framesOf(records) : JSON.stringify({ records });
      const headers = { "content-type": packed ? "application/vnd.millrace.frames" : "application/json", ...numbers };
      const { json } = await millrace.call("POST", `${stream}/records?verdicts=runs`, body as BodyInit, headers);
      return json.code ?? words(json.runs);
    },
    close() {},
  };
}

async function bySocket(stream: string, packed: boolean): Promise<Door> {
  const client = await StreamSocket.open(`${millrace.url}${stream}/live`, {
    headers: { authorization: `Bearer ${token}` },
    protocols: [packed ? "millrace.v1.binary" : "millrace.v1"],
  });
  let id = 0;
  return {
    async send(records, producer) {
      id++;
      if (packed) client.socket.send(binaryMessage(id, records, producer));
      else client.send({ type: "append", id, records, ...(producer && { producer }) });
      const answer = () => client.answers.find((one) => one.id === id);
      const error = () => client.of("error").find((one) => one.id === id || one.fatal);
      await client.until(() => (answer() ?? error()) !== undefined);
      return answer() === undefined ? String(error()?.code) : words(answer()!.runs as Parameters<typeof words>[0]);
    },
    close: () => client.socket.close(),
  };
}

const doors: readonly [string, (stream: string) => Promise<Door> | Door][] = [
  ["JSON", (stream) => byHttp(stream, false)],
  ["frames", (stream) => byHttp(stream, true)],
  ["a socket", (stream) => bySocket(stream, false)],
  ["a binary socket", (stream) => bySocket(stream, true)],
];
const limits: readonly [string, object, string][] = [
  ["recordBytesMax", { recordBytesMax: 100 }, "record-too-large"],
  ["batchBytesMax", { batchBytesMax: 150 }, "body-too-large"],
  ["both", { recordBytesMax: 100, batchBytesMax: 150 }, "body-too-large"],
];
const cases = [1, 4].flatMap((partitions) =>
  limits.flatMap(([name, lowered, code]) =>
    doors.map(([door, open]) => [name, door, partitions, lowered, code, open] as const),
  ),
);

let count = 0;
async function fresh(partitions: number): Promise<string> {
  const stream = `/v1/default/streams/repeated-${count++}`;
  expect((await millrace.call("PUT", stream, { partitions })).status).toBe(201);
  return stream;
}
const large = "x".repeat(120);
const producer = { id: "p", epoch: 0, sequence: 0 };

describe("when limits were lowered", () => {
  test.each(cases)("%s: by %s, on %i partitions", async (_, __, partitions, lowered, code, open) => {
    const stream = await fresh(partitions);
    const records = ["a", "b", "c"].map((key) => ({ key, data: large }));
    const before = await open(stream);
    const first = await before.send(records, producer);
    expect(first).toMatch(/^appended/);
    before.close();
    expect((await millrace.call("PATCH", stream, lowered)).status).toBe(200);
    // What was cached of the stream is old by then.
    await expect.poll(async () => (await open(stream)).send([{ key: "a", data: `${large}${large}` }])).toBe(code);
    const door = await open(stream);
    expect(await door.send(records, producer)).toBe(first.replaceAll("appended", "duplicate"));
    // Another batch under the number, and a new one, are what they are.
    expect(await door.send([...records].reverse(), producer)).toBe("sequence-conflict");
    expect(await door.send(records, { ...producer, sequence: 1 })).toBe(code);
    door.close();
    const again = await open(stream);
    expect(await again.send([{ key: "a", data: "1" }], { ...producer, sequence: 1 })).toMatch(/^appended/);
    again.close();
    const { json } = await millrace.call("GET", `${stream}/records`);
    expect(json.records.length).toBe(4);
  });

  test.each(doors)("a record too large now is known by its id: by %s", async (_, open) => {
    const stream = await fresh(2);
    const door = await open(stream);
    const record = { key: "a", id: "1", source: "s", data: large };
    const first = await door.send([record]);
    door.close();
    expect((await millrace.call("PATCH", stream, { recordBytesMax: 100 })).status).toBe(200);
    const later = await open(stream);
    await expect.poll(() => later.send([{ ...record, id: "2" }])).toBe("record-too-large");
    expect(await later.send([record])).toBe(first.replace("appended", "duplicate"));
    expect(await later.send([record, { ...record, id: "2" }])).toBe("record-too-large");
    later.close();
  });
});
