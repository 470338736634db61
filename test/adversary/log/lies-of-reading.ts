/** For each promise to readers a plan and a lie that breaks it. */
import type { Json } from "../frame/http.ts";
import { append, drawn, follow, look, type Proof, snapshot, three, write } from "./proving.ts";
import { asked, eventOf, inMessages, isQuery, shown, told } from "./telling.ts";

export const proofsOfReading: Readonly<Record<string, Proof>> = {
  reads: { steps: [append(write(three)), look({ limit: 10 })], lie: () => shown(isQuery, (all) => all.slice(1)) },
  same: {
    steps: [append(write(three)), look()],
    lie: () => shown(isQuery, (all) => all.map((one) => ({ ...one, type: "other" }))),
  },
  page: {
    steps: [append(write(three)), look()],
    lie: () => asked((question) => ({ ...question, path: question.path.replace("limit=2", "limit=20") })),
  },
  ends: { steps: [append(write(three)), look()], lie: () => told(isQuery, (json) => ({ ...json, prev: "0" })) },
  trimmed: {
    steps: [
      append(write(three)),
      append(write(three)),
      { do: "trim", where: 0, share: 0.9 },
      look({ partition: 0, from: { at: "offset", share: 0.1 } }),
    ],
    lie: () =>
      told(
        ({ path }) => /from=[0-2]&/.test(path),
        (json) => (json.lost ? { ...json, lost: json.lost.map((one: Json) => ({ ...one, to: one.to - 1 })) } : json),
      ),
  },
  "trimmed-backward": {
    steps: [
      append(write(three)),
      append(write(three)),
      { do: "trim", where: 0, share: 0.9 },
      look({ partition: 0, from: { at: "offset", share: 0.2 }, backward: true }),
    ],
    lie: () =>
      told(isQuery, (json) =>
        json.lost ? { ...json, lost: json.lost.map((one: Json) => ({ ...one, from: 1 })) } : json,
      ),
  },
  "trimmed-facts": {
    steps: [
      append(write(three)),
      append(write(three)),
      { do: "trim", where: 0, share: 0.9 },
      look({ partition: 0, from: { at: "offset", share: 0.1 } }),
    ],
    lie: () => told(isQuery, (json) => (json.lost ? { ...json, head: 0 } : json)),
  },
  "follow-gone": {
    steps: [
      append(write(three)),
      append(write(three)),
      { do: "trim", where: 0, share: 0.9 },
      follow({ partition: 0, from: { at: "offset", share: 0.2 } }),
    ],
    lie: () => ({ event: (text) => [text.replace('"from":1,', '"from":0,')] }),
  },
  retention: {
    retention: 5,
    steps: [...Array.from({ length: 12 }, () => append(write([drawn(0)]))), look()],
    lie: () =>
      asked((question) => ({
        ...question,
        body: Buffer.from(question.body.toString().replace('"retentionRecords":5', '"retentionRecords":1')),
      })),
  },
  snapshots: {
    steps: [append(write(three)), snapshot(0.5), snapshot(0.9)],
    lie: () =>
      told(
        ({ path }) => path.endsWith("/snapshots?partition=0"),
        (json) => ({ snapshots: json.snapshots.slice(0, 1) }),
      ),
  },
  "snapshot-told": {
    steps: [append(write(three)), snapshot(0.9), look({ partition: 0 })],
    lie: () => told(isQuery, (json) => ({ ...json, snapshot: undefined })),
  },
  "snapshot-told, to a follower": {
    steps: [append(write(three)), snapshot(0.5), follow({ from: { at: "snapshot" } })],
    lie: () => ({ event: (text) => (text.includes("event: snapshot") ? [] : [text]) }),
  },
  "trimmed-facts, of a snapshot": {
    steps: [
      append(write(three)),
      append(write(three)),
      snapshot(0.99),
      { do: "trim", where: 0, share: 0.6 },
      look({ partition: 0, from: { at: "offset", share: 0.1 } }),
    ],
    lie: () => told(isQuery, (json) => (json.lost ? { ...json, snapshot: null } : json)),
  },
  "past-tail": {
    steps: [append(write(three)), look({ partition: 0, from: { at: "offset", share: 0.99 } })],
    lie: () => ({
      answer: (question, reply) => (isQuery(question) && reply.status === 416 ? { ...reply, status: 200 } : reply),
    }),
  },
  "wait-answer": {
    steps: [append(write(three)), { do: "wait", seconds: 1, color: "red", lets: true, grows: false }],
    lie: () => shown(isQuery, () => []),
  },
  "follow-once": {
    steps: [append(write(three)), follow()],
    lie: () => ({ event: (text) => (eventOf(text) ? [text, text] : [text]) }),
  },
  "follow-all": {
    steps: [append(write(three)), follow()],
    lie: () => ({ event: (text) => (eventOf(text)?.includes('"offset":1,') ? [] : [text]) }),
  },
  "follow-filter": {
    steps: [append(write([drawn(0), drawn(0, { color: "blue" })])), follow({ filter: { tags: ["red"] } })],
    lie: () => asked((question) => ({ ...question, path: question.path.replace("tag=red&", "") })),
  },
  "follow-start": {
    steps: [append(write(three)), follow({ from: { at: "latest" } })],
    lie: () => asked((question) => ({ ...question, path: question.path.replace("from=latest", "from=earliest") })),
  },
  "follow-lost": {
    steps: [append(write(three)), follow()],
    lie: () => ({
      event: (text) =>
        eventOf(text)?.includes('"offset":0,')
          ? ['event: lost\ndata: {"lost":[{"partition":0,"from":0,"to":2,"why":"trimmed"}]}', text]
          : [text],
    }),
  },
  "follow-order": {
    steps: [append(write(three)), { do: "grow", by: 1 }, append(write(three)), follow()],
    lie: () => {
      const held: string[] = [];
      return {
        event: (text) => {
          const parent = eventOf(text)?.startsWith('{"partition":0,');
          if (parent) held.push(text);
          if (parent || eventOf(text) === undefined) return parent ? [] : [text];
          return [text, ...held.splice(0)];
        },
      };
    },
  },
  credits: {
    steps: [append(write([...three, ...three])), follow({ kind: "socket" })],
    lie: () => ({ toService: (text) => text.replace('"credits":3', '"credits":9') }),
  },
  frames: {
    steps: [append(write([...three, ...three])), follow({ kind: "frames" })],
    lie: () => ({ toClient: (text) => inMessages(text, ({ body }) => body.writeDoubleLE(1, 16)) }),
  },
  "credits, of frames": {
    steps: [append(write([...three, ...three])), follow({ kind: "frames" })],
    lie: () => ({ toService: (text) => text.replace('"credits":3', '"credits":9') }),
  },
  "follow-all, by frames": {
    steps: [append(write(three)), follow({ kind: "frames", window: 1 })],
    lie: () => ({
      // As the answer to a ping nobody takes it for records.
      toClient: (text) => inMessages(text, ({ head, body }) => body.readDoubleLE(16) === 2 && head.writeUInt8(0x8a)),
    }),
  },
  "socket-order, commits": {
    steps: [{ do: "socket", where: null, cutMs: 500, writes: [write([drawn(0)]), write([drawn(0)])] }, look()],
    lie: () => ({
      toService: (text) => text.replaceAll('"n":0', '"n":_').replaceAll('"n":1', '"n":0').replaceAll('"n":_', '"n":1'),
      toClient: (text) => text.replace('"type":"verdicts"', '"type":"verdictz"'),
    }),
  },
  "follow-all, by a socket": {
    steps: [append(write(three)), follow({ kind: "socket", window: 1 })],
    lie: () => ({
      toClient: (text) => (text.includes('"offset":1,') ? text.replace('"type":"records"', '"type":"recordz"') : text),
    }),
  },
  "reads, backward": {
    steps: [append(write(three)), look({ backward: true, from: { at: "default" }, filter: { tags: ["red"] } })],
    lie: () => shown(isQuery, (all) => all.slice(1)),
  },
  "reads, by prev": {
    steps: [append(write([...three, ...three])), look({ turnAfter: 1 })],
    lie: () =>
      shown(
        ({ path }) => path.includes("direction=backward"),
        (all) => all.slice(1),
      ),
  },
  "reads, newest": {
    steps: [append(write([...three, ...three])), look({ from: { at: "newest", count: 3 } })],
    lie: () => asked((question) => ({ ...question, path: question.path.replace("from=-3", "from=-2") })),
  },
  "socket-order": {
    steps: [{ do: "socket", where: null, cutMs: null, writes: [write([drawn(0)]), write([drawn(0)])] }],
    lie: () => ({
      toClient: (text) =>
        text.includes('"verdicts"')
          ? text.replaceAll('"id":1,', '"id":0,').replaceAll('"id":2,', '"id":1,').replaceAll('"id":0,', '"id":2,')
          : text,
    }),
  },
};
