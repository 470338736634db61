/** Odd values where a record has none: names, queries, headers, bodies of other calls. */
import type { Answer } from "../frame/http.ts";
import { type Ask, sent } from "./ask.ts";
import type { Store } from "./feed.ts";
import { limitsKnown, textVerdict, type Verdict } from "./rules.ts";
import { type Binary, byteLength, bytesOf, plain, type Value } from "./values.ts";
import { jsonText, queryText } from "./ways-in.ts";

export interface Place {
  /** What the documents say of the value. */
  allows(value: Value): Verdict;
  ask(store: Store, value: Value): Ask;
  /** What a refusal has to name. */
  readonly says: RegExp;
  /** What must be seen of what was taken. */
  check?(store: Store, value: Value, answer: Answer): Promise<void>;
}

export const json = { "content-type": "application/json" };

/** Any well-formed text up to a size. */
const anyText =
  (bytesMax: number) =>
  (value: Value): Verdict => {
    const text = plain(value);
    if (text === undefined || byteLength(value) === 0 || byteLength(value) > bytesMax) return "no";
    return text.isWellFormed() ? "yes" : "no";
  };

const isName = (text: string) => /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/.test(text);
const name = (value: Value): Verdict => (isName(plain(value) ?? "") ? "yes" : "no");
const nothing = (): Verdict => "no";

/** A time, a day, or how long ago. */
function moment(text: string): Verdict {
  if (/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])$/.test(text) || /^(\d{1,9}(ms|[smhdw]))+$/.test(text)) return "yes";
  return textVerdict("time", text);
}

function from(value: Value): Verdict {
  const text = plain(value) ?? value.json ?? "";
  if (/^(earliest|latest|snapshot|-?\d+)$/.test(text)) return "either";
  return moment(text);
}

/** The end of a read has no place before all, and none that is counted from the end. */
const to = (value: Value): Verdict => (/^(earliest|snapshot|-\d+)$/.test(plain(value) ?? "") ? "no" : from(value));

const group = (store: Store, value: Value, body: Binary): Ask => ({
  method: "PUT",
  path: `${store.path}/groups/odd-${value.name.replace(/[^a-z0-9]/g, "")}x`,
  headers: json,
  body: `{"start":"earliest",${body}}`,
});

/** The group says it as it was sent; then it goes. */
const echoed =
  (pick: (config: Record<string, never>) => unknown) =>
  async (store: Store, value: Value, answer: Answer): Promise<void> => {
    const came = pick(answer.json.config);
    const differs = () => `${value.name} came back as ${JSON.stringify(came)}`;
    store.round.checks.that("echoed", came === (plain(value) ?? JSON.parse(value.json ?? "null")), differs);
    await store.round.call("DELETE", `${store.path}/groups/${answer.json.group}`);
  };

const read = (store: Store, query: string): Ask => ({ method: "GET", path: `${store.path}/records?${query}` });
const inQuery =
  (parameter: string) =>
  (store: Store, value: Value): Ask =>
    read(store, `${parameter}=${queryText(bytesOf(value))}`);

const post =
  (path: string, body: (value: Value) => Binary) =>
  (store: Store, value: Value): Ask => ({
    method: "POST",
    path: store.path + path,
    headers: json,
    body: body(value),
  });

const other = (store: Store): string => `/v1/${store.round.name}/streams/other`;

/** A producer that nobody has had: its first batch is new, and the same again is not. */
const producer = (store: Store, value: Value): Ask => ({
  method: "POST",
  path: `${other(store)}/records`,
  headers: { ...json, "producer-id": bytesOf(value), "producer-epoch": "0", "producer-seq": "0" },
  body: '{"records":[{"data":1}]}',
});

async function producerAgain(store: Store, value: Value, answer: Answer): Promise<void> {
  const { checks } = store.round;
  const [first] = answer.json.verdicts;
  const known = () => `a producer ${value.name} is taken for another: ${answer.body}`;
  checks.that("distinct", first.verdict === "appended", known);
  const again = await sent(store, producer(store, value));
  const [second] = again.json.verdicts;
  const same = second.verdict === "duplicate" && second.offset === first.offset && second.partition === first.partition;
  checks.that("distinct", same, () => `a batch of ${value.name} again: ${again.body}, at first ${answer.body}`);
}

/** A header can hold neither line ends nor blanks at its ends, and one for each byte. */
export const inHeader = (value: Value): boolean =>
  /^[\x21-\xff]([\x20-\x7e\x80-\xff]*[\x21-\xff])?$/.test(bytesOf(value));

async function fenced(store: Store, value: Value): Promise<void> {
  const { round } = store;
  const facts = await round.call("GET", `${other(store)}/partitions/0`);
  const differs = () => `the fence ${value.name} is told as ${JSON.stringify(facts.json.fence)}`;
  round.checks.that("echoed", facts.json.fence === plain(value), differs);
  const append = (fence: Binary) =>
    round.call("POST", `${other(store)}/records?fence=${queryText(fence)}`, {
      headers: json,
      body: '{"records":[{}]}',
    });
  const right = await append(bytesOf(value));
  round.checks.that("echoed", right.status === 201, () => `behind its fence ${value.name}: ${right.body}`);
  const wrong = await append(`${bytesOf(value).slice(0, 20)}x`);
  round.checks.that("echoed", wrong.status >= 400, () => `behind another fence than ${value.name}: ${wrong.body}`);
  await round.call("PUT", `${other(store)}/partitions/0/fence`, { headers: json, body: '{"token":null}' });
}

const keyText = anyText(limitsKnown.keyBytesMax);
const attribute =
  (field: "type" | "source") =>
  (value: Value): Verdict => {
    const text = plain(value);
    if (text === undefined || byteLength(value) === 0 || byteLength(value) > limitsKnown.attributeBytesMax) return "no";
    // A filter for what no record can have may be taken, or refused.
    return textVerdict(field, text) === "yes" ? "yes" : text.isWellFormed() ? "either" : "no";
  };
const firstOf = (value: unknown): unknown => (Array.isArray(value) && value.length === 1 ? value[0] : undefined);

export const places: Readonly<Record<string, Place>> = {
  member: {
    allows: anyText(limitsKnown.memberBytesMax),
    ask: post("/groups/quiet/receive", (value) => `{"max":1,"member":${jsonText(value, false)}}`),
    says: /member/,
  },
  reason: {
    allows: (value) => (anyText(limitsKnown.reasonBytesMax)(value) === "no" ? "no" : "either"),
    ask: post("/groups/quiet/nack", (value) => `{"receipts":["0.0.0.0.0"],"reason":${jsonText(value, false)}}`),
    says: /reason|receipt/,
  },
  receipt: {
    allows: nothing,
    ask: post("/groups/quiet/ack", (value) => `{"receipts":[${jsonText(value, false)}]}`),
    says: /receipt/,
  },
  letter: {
    allows: nothing,
    ask: post("/groups/quiet/dead-letters/redrive", (value) => `{"letters":[${jsonText(value, false)}]}`),
    says: /letter/,
  },
  lane: {
    allows: nothing,
    ask: post("/groups/quiet/lanes/skip", (value) => `{"lane":${jsonText(value, false)}}`),
    says: /lane/,
  },
  seek: {
    allows: from,
    ask: post("/groups/quiet/seek", (value) => `{"to":${jsonText(value, false)}}`),
    says: /^to\b|\bto:|^offset \d/,
  },
  "filter-key": {
    allows: keyText,
    ask: (store, value) => group(store, value, `"filter":{"key":${jsonText(value, false)}}`),
    says: /key/,
    check: echoed(({ filter }) => (filter as { key: string }).key),
  },
  "filter-type": {
    allows: attribute("type"),
    ask: (store, value) => group(store, value, `"filter":{"types":[${jsonText(value, true)}]}`),
    says: /types/,
    check: echoed(({ filter }) => firstOf((filter as { types: string[] }).types)),
  },
  "filter-source": {
    allows: attribute("source"),
    ask: (store, value) => group(store, value, `"filter":{"sources":[${jsonText(value, false)}]}`),
    says: /sources/,
    check: echoed(({ filter }) => firstOf((filter as { sources: string[] }).sources)),
  },
  "filter-tag": {
    allows: anyText(limitsKnown.tagBytesMax),
    ask: (store, value) => group(store, value, `"filter":{"tags":[${jsonText(value, false)}]}`),
    says: /tags/,
    check: echoed(({ filter }) => firstOf((filter as { tags: string[] }).tags)),
  },
  only: {
    allows: keyText,
    ask: (store, value) => group(store, value, `"only":[${jsonText(value, true)}]`),
    says: /only/,
    check: echoed(({ only }) => firstOf(only)),
  },
  "push-url": {
    allows: nothing,
    ask: (store, value) => group(store, value, `"push":{"url":${jsonText(value, false)}}`),
    says: /url/,
  },
  secret: {
    allows: nothing,
    ask: (store, value) =>
      group(store, value, `"push":{"url":"http://127.0.0.1:9/","secrets":[${jsonText(value, false)}]}`),
    says: /secret/,
  },
  "dead-letter-stream": {
    allows: (value) => (value.json === "null" ? "either" : name(value) === "yes" ? "either" : "no"),
    ask: (store, value) => group(store, value, `"deadLetterStream":${jsonText(value, false)}`),
    says: /deadLetterStream|stream/,
    check: echoed(({ deadLetterStream }) => deadLetterStream),
  },
  fence: {
    allows: anyText(limitsKnown.fenceBytesMax),
    ask: (store, value) => ({
      method: "PUT",
      path: `${other(store)}/partitions/0/fence`,
      headers: json,
      body: `{"token":${jsonText(value, false)}}`,
    }),
    says: /token/,
    check: fenced,
  },
  producer: {
    allows: (value) => {
      if (bytesOf(value).includes(bytesOf({ name: "", text: "\ufffd" }))) return "no";
      return anyText(limitsKnown.producerIdBytesMax)(value) === "yes" ? "either" : "no";
    },
    ask: producer,
    says: /producer/i,
    check: producerAgain,
  },
  from: { allows: from, ask: inQuery("from"), says: /from|offset/ },
  to: { allows: to, ask: inQuery("to"), says: /\bto\b|offset/ },
  "read-key": { allows: keyText, ask: inQuery("key"), says: /key/ },
  "read-type": { allows: attribute("type"), ask: inQuery("type"), says: /type/ },
  "read-source": { allows: attribute("source"), ask: inQuery("source"), says: /source/ },
  "read-tag": { allows: anyText(limitsKnown.tagBytesMax), ask: inQuery("tag"), says: /tag/ },
  limit: { allows: () => "either", ask: inQuery("limit"), says: /limit/ },
  partition: { allows: () => "either", ask: inQuery("partition"), says: /partition/ },
  wait: { allows: () => "either", ask: inQuery("limit=1&wait"), says: /wait/ },
  "max-bytes": { allows: () => "either", ask: inQuery("maxBytes"), says: /maxBytes/ },
  direction: { allows: nothing, ask: inQuery("direction"), says: /direction/ },
  match: { allows: nothing, ask: inQuery("tag=a&tag=b&match"), says: /match/ },
  parameter: {
    allows: nothing,
    ask: (store, value) => read(store, `${queryText(bytesOf(value))}x=1`),
    says: /known|UTF-8/,
  },
  "last-event-id": {
    allows: (value) => (inHeader(value) ? "no" : "either"),
    ask: (store, value) => ({
      ...read(store, "limit=1"),
      headers: { accept: "text/event-stream", "last-event-id": inHeader(value) ? bytesOf(value) : "x" },
    }),
    says: /Last-Event-ID|limit|cursor|from/i,
  },
  ticket: {
    allows: nothing,
    ask: (store, value) => ({ ...inQuery("ticket")(store, value), headers: { authorization: "none" } }),
    says: /ticket|token/,
  },
  stream: {
    allows: name,
    ask: (store, value) => ({
      method: "PUT",
      path: `/v1/${store.round.name}/streams/${segment(value)}`,
      headers: json,
      body: "{}",
    }),
    says: /stream|route/,
    check: (store, value) => named(store, value, "streams", "stream"),
  },
  group: {
    allows: name,
    ask: (store, value) => ({
      method: "PUT",
      path: `${other(store)}/groups/${segment(value)}`,
      headers: json,
      body: "{}",
    }),
    says: /group|route/,
    check: (store, value) => named(store, value, "streams/other/groups", "group"),
  },
};

/** A dot or two, or nothing, is another path. */
const segment = (value: Value): string => queryText(bytesOf(value)).replace(/^\.{0,2}$/, "%20");

async function named(store: Store, value: Value, path: string, member: string): Promise<void> {
  const whole = `/v1/${store.round.name}/${path}/${segment(value)}`;
  const answer = await store.round.call("GET", whole);
  const differs = () => `${member} ${value.name} is told as ${answer.body}`;
  store.round.checks.that("echoed", answer.json?.[member] === plain(value), differs);
  await store.round.call("DELETE", `${whole}?force=true`);
}
