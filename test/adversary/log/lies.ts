/** For each promise a plan and a lie that breaks it: a check that does not find it is worth nothing. */
import type { Json } from "../frame/http.ts";
import type { Lie } from "./liar.ts";
import type { Drawn, Follow, Query, Step, Write } from "./plan.ts";
import {
  asked,
  eventOf,
  inMessages,
  isPost,
  isQuery,
  isTruth,
  later,
  more,
  relabelled,
  shown,
  told,
  unnamed,
} from "./telling.ts";

export interface Proof {
  readonly steps: readonly Step[];
  readonly partitions?: number;
  /** A new one each time: some count. */
  lie(): Lie;
}

const drawn = (key: number | null, more: Partial<Drawn> = {}): Drawn => ({
  key,
  id: false,
  color: "red",
  type: null,
  shape: "plain",
  ...more,
});
const write = (records: readonly Drawn[], more: Partial<Write> = {}): Write => ({
  door: "json",
  records,
  retry: false,
  ...more,
});
const append = (...writes: Write[]): Step => ({ do: "append", writes });
const three = [drawn(0), drawn(1), drawn(0)];
const plain: Query = {
  partition: null,
  filter: {},
  from: { at: "earliest" },
  backward: false,
  limit: 2,
  maxBytes: null,
  accept: "json",
  by: "next",
  turnAfter: null,
};
const look = (more: Partial<Query> = {}): Step => ({ do: "look", queries: [{ ...plain, ...more }] });
const follow = (more: Partial<Follow> = {}): Step => ({
  do: "follow",
  follow: { name: "f", kind: "events", partition: null, filter: {}, from: { at: "earliest" }, window: 3, ...more },
});

const producer = write(three, { producer: 0 });
const misuse = (how: "conflict" | "gap" | "fenced"): Step => ({ do: "misuse", share: 0, how });
export const proofs: Readonly<Record<string, Proof>> = {
  acked: {
    steps: [append(write(three)), look()],
    lie: () =>
      told(isPost, (json) => ({ verdicts: json.verdicts.map((one: Json) => ({ ...one, offset: one.offset + 100 })) })),
  },
  once: { steps: [append(write([drawn(0, { id: true })])), look()], lie: () => more((last) => last) },
  "made-up": { steps: [append(write(three)), look()], lie: () => more((last) => ({ ...last, data: { n: 9999 } })) },
  refused: {
    steps: [append(producer), misuse("conflict")],
    lie: () => {
      const conflicts = later((question) => isPost(question));
      let lies = false;
      return {
        ask: (question) => {
          lies = conflicts(question);
          return lies ? unnamed(question) : question;
        },
        answer: (question, reply) => {
          if (!lies || !isPost(question)) return reply;
          return { ...reply, status: 409, body: Buffer.from('{"code":"sequence-conflict","clean":true}') };
        },
      };
    },
  },
  unchanged: {
    steps: [append(write(three)), look()],
    lie: () => shown(isTruth, (all) => all.map((one) => ({ ...one, tags: ["green"] }))),
  },
  immutable: {
    steps: [append(write(three)), look(), look()],
    lie: () => {
      const again = later((question) => isTruth(question) && question.path.includes("partition=0"));
      let times = 0;
      return shown(
        (question) => again(question) && ++times > 1,
        (all) => all.with(-1, { ...all.at(-1), timestamp: "2199-01-01T00:00:00.000Z" }),
      );
    },
  },
  dense: { steps: [append(write(three)), look()], lie: () => shown(isTruth, (all) => all.toSpliced(1, 1)) },
  monotone: {
    steps: [append(write(three)), look()],
    lie: () => shown(isTruth, (all) => all.with(-1, { ...all.at(-1), timestamp: "2001-01-01T00:00:00.000Z" })),
  },
  atomic: {
    steps: [append(write(three, { atomic: true, retry: false })), look()],
    lie: () => ({
      ...asked((question) => {
        if (!isPost(question)) return question;
        const { records } = JSON.parse(question.body.toString());
        return { ...question, body: Buffer.from(JSON.stringify({ records: records.slice(1) })) };
      }),
      answer: (question, reply) => (isPost(question) ? { ...reply, status: 503, body: Buffer.from("{}") } : reply),
    }),
  },
  "key-order": { steps: [append(write([drawn(0)])), append(write([drawn(0)])), look()], lie: () => relabelled() },
  "key-order, within a batch": {
    steps: [append(write([drawn(0), drawn(0)])), look()],
    lie: () => relabelled(),
  },
  "first-verdict": {
    steps: [append(producer), { do: "again", share: 0, door: null }],
    lie: () =>
      told(later(isPost), (json) => ({
        verdicts: json.verdicts.map((one: Json) => ({ ...one, offset: one.offset + 1 })),
      })),
  },
  status: {
    steps: [append(write(three))],
    lie: () => ({ answer: (question, reply) => (isPost(question) ? { ...reply, status: 200 } : reply) }),
  },
  partition: {
    partitions: 2,
    steps: [append(write([drawn(null)], { where: 0 }))],
    lie: () => told(isPost, (json) => ({ verdicts: json.verdicts.map((one: Json) => ({ ...one, partition: 1 })) })),
  },
  ids: {
    steps: [append(write([drawn(0, { id: true })])), { do: "repeat", share: 0, door: "json", otherKey: null }],
    lie: () =>
      told(later(isPost), (json) => ({
        verdicts: json.verdicts.map((one: Json) => ({ ...one, offset: one.offset + 1 })),
      })),
  },
  misuse: {
    steps: [append(producer), misuse("gap")],
    lie: () => asked((question) => (question.headers["producer-seq"] === "3" ? unnamed(question) : question)),
  },
  stale: {
    steps: [...Array.from({ length: 7 }, () => append(producer)), { do: "again", share: 0, door: null }],
    lie: () => {
      let posts = 0;
      return {
        answer: (question, reply) =>
          isPost(question) && ++posts === 8
            ? { ...reply, status: 409, body: Buffer.from('{"code":"sequence-gap"}') }
            : reply,
      };
    },
  },
  conditions: {
    steps: [append(write(three)), { do: "expect", where: 0, off: -1 }],
    lie: () =>
      asked((question) => ({ ...question, path: question.path.replace(/expectedOffset=\d+/, "expectedOffset=3") })),
  },
  trim: {
    steps: [append(write(three)), { do: "trim", where: 0, share: 1 }],
    lie: () =>
      told(
        ({ path }) => path.endsWith("/trim"),
        (json) => ({ ...json, head: 9 }),
      ),
  },
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
