/**
 * Binary messages on a stream's socket, byte by byte; docs/PROTOCOL.md says when they are sent. Numbers are little-endian.
 *
 *     an append                            records
 *     0  1  1                              0   1  2
 *     1  1  zero                           1   1  1: up to date, else 0
 *     2  2  length of the terms            2   2  zero
 *     4  4  id                             4   4  id of the subscription
 *     8     the terms as JSON, then        8   4  what the records have cost, in credits
 *           frames                         12  4  partition
 *                                          16  8  where to go on in it, as a float
 *                                          24     frames
 */
import { concat } from "../lib/bytes.ts";

export const kinds = { append: 1, records: 2 } as const;
export const appendHeaderBytes = 8;
export const recordsHeaderBytes = 24;

export interface RecordsHeader {
  readonly id: number;
  readonly upToDate: boolean;
  readonly cost: number;
  readonly partition: number;
  readonly next: number;
}

/** A message of records, to which an id is given when it is sent. */
export function recordsMessage(header: Omit<RecordsHeader, "id">, frames: readonly Uint8Array[]): Uint8Array {
  const message = concat([new Uint8Array(recordsHeaderBytes), ...frames]);
  const view = viewOf(message);
  message[0] = kinds.records;
  message[1] = header.upToDate ? 1 : 0;
  view.setUint32(8, header.cost, true);
  view.setUint32(12, header.partition, true);
  view.setFloat64(16, header.next, true);
  return message;
}

/** Gives a message to a subscription. */
export const addressTo = (message: Uint8Array, id: number) => viewOf(message).setUint32(4, id, true);
export const setUpToDate = (message: Uint8Array, upToDate: boolean) => {
  message[1] = upToDate ? 1 : 0;
};

/** Undefined where it is no message of records. */
export function readRecordsHeader(message: Uint8Array): RecordsHeader | undefined {
  if (message.length < recordsHeaderBytes || message[0] !== kinds.records) return undefined;
  const view = viewOf(message);
  return {
    id: view.getUint32(4, true),
    upToDate: message[1] === 1,
    cost: view.getUint32(8, true),
    partition: view.getUint32(12, true),
    next: view.getFloat64(16, true),
  };
}

const viewOf = (message: Uint8Array) => new DataView(message.buffer, message.byteOffset, message.byteLength);
