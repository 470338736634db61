/** For each promise a plan and a lie that breaks it: a check that does not find it is worth nothing. */
import type { Json } from "../frame/http.ts";
import { proofsOfReading } from "./lies-of-reading.ts";
import { append, drawn, look, misuse, type Proof, producer, three, write } from "./proving.ts";
import { asked, isPost, isTruth, later, more, relabelled, shown, told, unnamed } from "./telling.ts";

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
  "conditions, of a fence that growth loses": {
    steps: [append(write(three)), { do: "fence", where: 0, right: false, grows: true }],
    lie: () => asked((question) => ({ ...question, path: question.path.replace(/&fence=another/, "") })),
  },
  trim: {
    steps: [append(write(three)), { do: "trim", where: 0, share: 1 }],
    lie: () =>
      told(
        ({ path }) => path.endsWith("/trim"),
        (json) => ({ ...json, head: 9 }),
      ),
  },
  stamped: {
    stamps: true,
    steps: [append(write([drawn(0, { stampMs: -5000 })])), look()],
    lie: () =>
      asked((question) => ({
        ...question,
        body: Buffer.from(question.body.toString().replace(/"timestamp":\d+/, '"timestamp":1000000000000')),
      })),
  },
  blind: {
    steps: [append(write(three, { blind: true })), look()],
    lie: () => asked((question) => ({ ...question, path: question.path.replace("ack=none", "ack=durable") })),
  },
  "wrong-log": {
    steps: [append(write(three)), { do: "wrong-log", whose: "former" }],
    lie: () => asked((question) => ({ ...question, path: question.path.replace(/from=[^&]*~[^&]*/, "from=0") })),
  },
  ...proofsOfReading,
};
