/** What is said on sockets: messages of every kind, and frames that are none. */
import { createHash } from "node:crypto";
import type { Ground } from "./ground.ts";

/** Each begins with another one's id, so that they can come in any order. */
export type Message = (ground: Ground, id: number) => string | Buffer;

const json =
  (make: (id: number, ground: Ground) => unknown): Message =>
  (ground, id) =>
    JSON.stringify(make(id, ground));

const subscribe = (more: object): Message =>
  json((id) => ({ type: "subscribe", id, from: "earliest", credits: 100, ...more }));
const credit = (more: object): Message => json((id) => ({ type: "credit", id: id - 1, credits: 10, ...more }));
const append = (more: object): Message =>
  json((id) => ({ type: "append", id, records: [{ key: "k1", data: "stray" }], ...more }));

export const streamMessages: Readonly<Record<string, Message>> = {
  subscribe: subscribe({}),
  "subscribe, latest": subscribe({ from: "latest" }),
  "subscribe, filtered": subscribe({ filter: { key: "k1", types: ["a"], match: "any" } }),
  "subscribe, odd place": subscribe({ from: "~~~" }),
  "subscribe, no place": subscribe({ from: null }),
  "subscribe, past the tail": subscribe({ partition: 0, from: 9_007_199_254_740_990 }),
  "subscribe, no partition": subscribe({ partition: 1023 }),
  "subscribe, odd partition": subscribe({ partition: -1 }),
  "subscribe, many credits": subscribe({ credits: 1e15 }),
  "subscribe, minus credits": subscribe({ credits: -1 }),
  "subscribe, huge filter": subscribe({ filter: { types: Array.from({ length: 5000 }, (_, i) => `t${i}`) } }),
  "subscribe, unknown": subscribe({ unheardOf: 1 }),
  "subscribe, many": (ground, id) =>
    Array.from({ length: 40 }, (_, i) => streamMessages.subscribe?.(ground, id * 100 + i)).join("\n"),
  credit: credit({}),
  "credit for nobody": credit({ id: 4_000_000_000 }),
  "credit, minus": credit({ credits: -5 }),
  "credit, huge": credit({ credits: 9_007_199_254_740_991 }),
  "credit, none": credit({ credits: undefined }),
  unsubscribe: json((id) => ({ type: "unsubscribe", id: id - 1 })),
  "unsubscribe nobody": json(() => ({ type: "unsubscribe", id: 4_000_000_000 })),
  append: append({}),
  "append, partition": append({ partition: 1 }),
  "append nothing": append({ records: [] }),
  "append no list": append({ records: { 0: 1 } }),
  "append, odd record": append({ records: [{ key: "" }, null, 7] }),
  "append, odd producer": append({ producer: { id: "", epoch: -1, sequence: 1e300 } }),
  "append, gap": append({ producer: { id: "p", epoch: 0, sequence: 9 } }),
  "append, expected": append({ partition: 0, expectedOffset: 0 }),
  "append, atomic": append({ atomic: "yes" }),
  "append, same id": json(() => ({ type: "append", id: 1, records: [{ data: 1 }] })),
  "append, odd id": json(() => ({ type: "append", id: -1, records: [{ data: 1 }] })),
  "append, huge id": json(() => ({ type: "append", id: 2 ** 40, records: [{ data: 1 }] })),
  "append, no id": json(() => ({ type: "append", records: [{ data: 1 }] })),
  "append, large": json((id) => ({ type: "append", id, records: [{ data: "d".repeat(1_100_000) }] })),
  ack: json((_, { receipt }) => ({ type: "ack", receipts: [receipt] })),
};

export const groupMessages: Readonly<Record<string, Message>> = {
  credit: json(() => ({ type: "credit", credits: 2 })),
  "credit, minus": json(() => ({ type: "credit", credits: -1 })),
  "credit, huge": json(() => ({ type: "credit", credits: 1e15 })),
  "credit, text": json(() => ({ type: "credit", credits: "1" })),
  ack: json((_, { receipt }) => ({ type: "ack", receipts: [receipt] })),
  "ack nothing": json(() => ({ type: "ack", receipts: [] })),
  "ack no receipt": json(() => ({ type: "ack", receipts: ["0.0.0.0.0", "", "😀", null] })),
  "ack, many": json(() => ({ type: "ack", receipts: Array.from({ length: 10_001 }, (_, i) => `0.${i}.x.1.y`) })),
  nack: json((_, { receipt }) => ({ type: "nack", receipts: [receipt], delayMs: 0 })),
  "nack, odd": json(() => ({ type: "nack", receipts: ["a"], delayMs: -1, reason: 7 })),
  release: json((_, { receipt }) => ({ type: "release", receipts: [receipt] })),
  "release no receipt": json(() => ({ type: "release", receipts: ["0.0.0.0.0", "😀"] })),
  extend: json((_, { receipt }) => ({ type: "extend", receipts: [receipt], ackTimeoutMs: 43_200_000 })),
  "extend, odd": json(() => ({ type: "extend", receipts: ["a"], ackTimeoutMs: 1e15 })),
  subscribe: json((id) => ({ type: "subscribe", id })),
};

/** On either. */
export const anyMessages: Readonly<Record<string, Message>> = {
  ping: () => "ping",
  pong: () => "pong",
  empty: () => "",
  blanks: () => " \n\n ",
  "no json": () => "{",
  nothing: () => "null",
  number: () => "7",
  list: () => "[]",
  "no type": () => "{}",
  "type of nobody": () => '{"type":"unheardOf"}',
  "type that is none": () => '{"type":{"a":1}}',
  proto: () => '{"__proto__":{"type":"append"},"type":"__proto__"}',
  deep: () => `${"[".repeat(100_000)}`,
  "deep and closed": () => `{"type":"append","id":1,"records":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
  "many lines": () => "{}\n".repeat(5000),
  "many pings": () => "ping\n".repeat(1000),
  large: () => "x".repeat(1_100_000),
  "far too large": () => Buffer.alloc(34_000_000, 0x20),
  "no utf-8": () => Buffer.from([0x7b, 0xff, 0xfe, 0x7d]),
};

/** As a client must: masked, with zeros. */
function frame(first: number, body: Buffer, claimed = body.length): Buffer {
  const long = claimed > 0xffff ? 8 : claimed > 125 ? 2 : 0;
  const head = Buffer.alloc(6 + long);
  head[0] = first;
  head[1] = 0x80 | (long === 8 ? 127 : long === 2 ? 126 : claimed);
  if (long === 2) head.writeUInt16BE(claimed, 2);
  if (long === 8) head.writeBigUInt64BE(BigInt(claimed), 2);
  return Buffer.concat([head, body]);
}

const binary = (body: Buffer) => frame(0x82, body);
const terms = (length: number, id: number, rest: Buffer) => {
  const head = Buffer.alloc(8);
  head[0] = 1;
  head.writeUInt16LE(length, 2);
  head.writeUInt32LE(id, 4);
  return binary(Buffer.concat([head, rest]));
};

/** Bytes in place of a frame. */
export const frames: Readonly<Record<string, (id: number) => Buffer>> = {
  unmasked: () => Buffer.from([0x81, 0x02, 0x7b, 0x7d]),
  "reserved bits": () => frame(0xf1, Buffer.from("{}")),
  "reserved kind": () => frame(0x83, Buffer.from("{}")),
  "reserved control": () => frame(0x8b, Buffer.from("{}")),
  "compressed without leave": () => frame(0xc1, Buffer.from("{}")),
  "continues nothing": () => frame(0x80, Buffer.from("{}")),
  "begins twice": () => Buffer.concat([frame(0x01, Buffer.from("{")), frame(0x81, Buffer.from("}"))]),
  "pieces of a byte": () =>
    Buffer.concat([
      frame(0x01, Buffer.from("p")),
      ...Array.from({ length: 5000 }, () => frame(0x00, Buffer.from("x"))),
    ]),
  "control in pieces": () => frame(0x09, Buffer.from("a")),
  "large control": () => frame(0x89, Buffer.alloc(126)),
  "many controls": () => Buffer.concat(Array.from({ length: 2000 }, () => frame(0x89, Buffer.from("a")))),
  "length of everything": () => frame(0x82, Buffer.alloc(100), 2 ** 52),
  "length with its sign": () => Buffer.from([0x82, 0xff, ...Array(8).fill(0xff), 0, 0, 0, 0]),
  "length in more than it needs": () => Buffer.from([0x81, 0xfe, 0x00, 0x02, 0, 0, 0, 0, 0x7b, 0x7d]),
  "close with a byte": () => frame(0x88, Buffer.from([3])),
  "close with a code that is none": () => frame(0x88, Buffer.from([0xff, 0xff])),
  "close with 1005": () => frame(0x88, Buffer.from([0x03, 0xed])),
  "close and go on": () => Buffer.concat([frame(0x88, Buffer.from([0x03, 0xe8])), frame(0x81, Buffer.from("{}"))]),
  "empty binary": () => binary(Buffer.alloc(0)),
  "short binary": () => binary(Buffer.from([1, 0, 0])),
  "binary of nobody": () => binary(Buffer.alloc(64, 0xff)),
  "binary without frames": (id) => terms(0, id, Buffer.alloc(0)),
  "binary with long terms": (id) => terms(65_535, id, Buffer.from("{}")),
  "binary with odd terms": (id) => terms(2, id, Buffer.from("[]MRF")),
  "binary with zeros": (id) => terms(0, id, Buffer.alloc(70_000)),
  noise: () => createHash("sha512").update("noise").digest(),
  half: () => Buffer.from([0x81]),
};
