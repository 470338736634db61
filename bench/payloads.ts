/** Bodies of appends: records with a key each and 100 bytes of data. */
import { concat, encodeText } from "../src/lib/bytes.ts";
import { FrameWriter, kinds } from "../src/log/record.ts";

export interface Payload {
  readonly type: string;
  readonly body: Uint8Array;
  readonly records: number;
}

const dataBytes = 100;

/** A JSON string of 100 bytes, its quotes included. */
const data = (index: number): string => JSON.stringify(`record ${index} `.padEnd(dataBytes - 2, "abcdefghij"));
export const payloadData = data(0);
const record = (index: number): string => `{"key":"k${index}","data":${data(index)}}`;

const many = (records: number): string[] => Array.from({ length: records }, (_, index) => record(index));

export const jsonPayload = (records: number): Payload => ({
  type: "application/json",
  body: encodeText(`{"records":[${many(records).join(",")}]}`),
  records,
});

export const ndjsonPayload = (records: number): Payload => ({
  type: "application/x-ndjson",
  body: encodeText(`${many(records).join("\n")}\n`),
  records,
});

export const framesType = "application/vnd.millrace.frames";

/** Each record has a key of its own, or the one that is said. */
export function framesPayload(records: number, key = (index: number) => `k${index}`): Payload {
  const writer = new FrameWriter();
  for (let index = 0; index < records; index++) {
    writer.add({ kind: kinds.json, data: encodeText(data(index)), key: key(index) });
  }
  return { type: framesType, body: concat(writer.finish(0)), records };
}

/** One frame that nearly fills a row, so that the product and the bare object store the same rows. */
export const rowPayload = (): Payload => framesPayload(9_000);
