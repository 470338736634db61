/** Ways to lie: other questions for the service, other answers for the program. */
import type { Json } from "../frame/http.ts";
import type { Lie, Question, Reply } from "./liar.ts";

export const isPost = ({ method, path }: Question) => method === "POST" && path.includes("/records");
/** Everything of a partition is read with a limit that no query has. */
export const isTruth = ({ path }: Question) => path.includes("maxBytes=8388608");
export const isQuery = ({ method, path }: Question) =>
  method === "GET" && path.includes("/records") && !path.includes("maxBytes=8388608");

/** Changes the JSON of answers. */
export const told = (
  which: (question: Question) => boolean,
  change: (json: Json, question: Question) => Json | undefined,
) => ({
  answer(question: Question, reply: Reply): Reply {
    if (!which(question) || reply.body.length === 0) return reply;
    const json = JSON.parse(reply.body.toString());
    return { ...reply, body: Buffer.from(JSON.stringify(change(json, question) ?? json)) };
  },
});

/** Changes the records of a page. */
export const shown = (which: (question: Question) => boolean, change: (records: Json[]) => Json[]) =>
  told(which, (json) => (json.records?.length > 0 ? { ...json, records: change(json.records) } : json));

export const without = (name: string) => (question: Question) => {
  const { [name]: _, ...headers } = question.headers;
  return { ...question, headers };
};

/** Adds a record above the tail, in everything that is read. */
export const more = (record: (last: Json) => Json) =>
  told(isTruth, (json) => {
    if (json.partition !== 0 || json.records.length === 0) return json;
    const last = json.records.at(-1);
    return { ...json, tail: json.tail + 1, records: [...json.records, { ...record(last), offset: last.offset + 1 }] };
  });

/** From the second time on that the service is asked so. */
export const later = (which: (question: Question) => boolean) => {
  let times = 0;
  return (question: Question) => which(question) && ++times > 1;
};

export const asked = (change: (question: Question) => Question | undefined) => ({ ask: change });
export const eventOf = (text: string) => /^data: (\{"partition.*)$/m.exec(text)?.[1];
/** The first two places of a partition have changed places, for writers and readers alike. */
export function relabelled(): Lie {
  const swapped = (offset: number) => (offset === 0 ? 1 : 0);
  const posts = told(isPost, (json) => ({
    verdicts: json.verdicts.map((one: Json) => ({ ...one, offset: swapped(one.offset) })),
  }));
  const reads = shown(isTruth, ([a, b]) =>
    b
      ? [
          { ...a, data: b.data },
          { ...b, data: a.data },
        ]
      : [a],
  );
  return { answer: (question, reply) => posts.answer(question, reads.answer(question, reply)) };
}

export const unnamed = (question: Question) =>
  question.headers["producer-seq"]
    ? without("producer-id")(without("producer-epoch")(without("producer-seq")(question)))
    : question;

/** Changes the binary messages of a socket, where a piece of it begins with a message or an answer, and is small. */
export function inMessages(text: string, change: (message: { head: Buffer; body: Buffer }) => void): string {
  const bytes = Buffer.from(text, "latin1");
  let at = text.startsWith("HTTP/") ? text.indexOf("\r\n\r\n") + 4 : 0;
  while (at + 2 <= bytes.length) {
    const short = (bytes[at + 1] as number) & 0x7f;
    const from = at + (short === 126 ? 4 : 2);
    const size = short === 126 ? bytes.readUInt16BE(at + 2) : short;
    const body = bytes.subarray(from, from + size);
    if (bytes[at] === 0x82 && body.length === size && body[0] === 2) change({ head: bytes.subarray(at), body });
    at = from + size;
  }
  return bytes.toString("latin1");
}
