/** A record that one way out of the doors shows altered, whatever form it has there, or not at all. */
import { crc32c } from "@aws-crypto/crc32c";
import { type DoorsPlan, type Draft, type Field, type Odd, type Out, outs, type Way } from "../doors/plan.ts";
import type { Value } from "../doors/values.ts";
import type { Lie } from "./liar.ts";
import type { NamedProof } from "./proof.ts";

export const empty: DoorsPlan = {
  partitions: 1,
  drafts: [],
  elsewhere: [],
  bodies: false,
  again: false,
  outs: [],
  kills: [],
};

export const valued = (text: string): Value => ({ name: "odd", text });
export const odd = (field: Field, text: string): Odd => ({ field, value: valued(text) });
export const draft = (n: number, way: Way, ...all: Odd[]): Draft => ({ n, way, escaped: false, odd: all });
export const feeds = (...drafts: Draft[]): DoorsPlan => ({ ...empty, drafts });

export const key = odd("key", "oddkey");

/** Every field is odd in one of these. */
const every = [
  draft(
    1,
    "json",
    key,
    odd("id", "oddid"),
    odd("source", "oddsource"),
    odd("type", "oddtype"),
    odd("subject", "oddsubject"),
    odd("time", "2024-02-29T00:00:00Z"),
    odd("dataschema", "odd:schema"),
    odd("tags", "oddtag"),
    odd("name", "oddname"),
    odd("value", "oddvalue"),
  ),
  draft(2, "json", key, odd("datacontenttype", "application/odd+json")),
];

/** Each text in the place of another of its length. */
type Changes = Readonly<Record<string, string>>;

/** How each of them is altered. */
const alterations: Readonly<Record<string, Changes>> = {
  key: { oddkey: "addkey" },
  id: { oddid: "addid" },
  source: { oddsource: "addsource" },
  type: { oddtype: "addtype" },
  subject: { oddsubject: "addsubject" },
  time: { "2024-02-29T00:00:00Z": "2024-02-28T00:00:00Z" },
  dataschema: { "odd:schema": "add:schema" },
  tags: { oddtag: "addtag" },
  name: { oddname: "addname" },
  value: { oddvalue: "addvalue" },
  data: { '"n":1}': '"n":3}', '"n":2}': '"n":4}' },
  datacontenttype: { "odd+json": "add+json" },
};

/** Where each way out comes by. */
const waysOut: Readonly<Record<string, readonly [out: Out, path: RegExp]>> = {
  page: ["page", /&limit=200$/],
  lines: ["lines", /&limit=300$/],
  whole: ["whole", /maxBytes=all$/],
  frames: ["frames", /partition=0/],
  keys: ["keys", /[?&](key|type|source|tag)=/],
  events: ["events", /from=earliest$/],
  socket: ["socket", /doors\/live$/],
  "socket-frames": ["socket-frames", /doors\/live$/],
  receive: ["receive", /groups\/pull\/receive$/],
  "group-socket": ["group-socket", /groups\/member\/live/],
  "push-binary": ["push-binary", /hook$/],
  "push-structured": ["push-structured", /hook$/],
  "push-batch": ["push-batch", /hook$/],
  letters: ["letters", /dead-letters\?/],
  redrive: ["letters", /groups\/letters\/receive$/],
  "dead-stream": ["letters", /streams\/dead\/records/],
  chosen: ["chosen", /groups\/chosen\/receive$/],
  "chosen, by a socket": ["chosen", /doors\/live$/],
};

const plansOut = new Map<Out, DoorsPlan>();
export function planOut(out: Out): DoorsPlan {
  const plan = plansOut.get(out) ?? { ...empty, drafts: every, outs: [out] };
  plansOut.set(out, plan);
  return plan;
}

const headBytes = 32;

/** Checksums of packed frames are made anew: a service that stores nonsense seals it too. */
function sealed(bytes: Buffer): Buffer {
  for (let at = bytes.indexOf("MR\u0001"); at >= 0; at = bytes.indexOf("MR\u0001", at + 1)) {
    if (at + headBytes > bytes.length) break;
    const end = at + headBytes + bytes.readUInt32LE(at + 4);
    if (end <= bytes.length) bytes.writeUInt32LE(crc32c(bytes.subarray(at + headBytes, end)), at + 12);
  }
  return bytes;
}

const changed = (text: string, changes: Changes): string =>
  Object.entries(changes).reduce((left, [from, to]) => left.replaceAll(from, to), text);

const changedBytes = (bytes: Buffer, changes: Changes): Buffer =>
  sealed(Buffer.from(changed(bytes.toString("latin1"), changes), "latin1"));

/** In everything that comes out where it is asked so. */
export const alters = (path: RegExp, changes: Changes): Lie => ({
  shows: (asked, came) => {
    if (path.test(asked.path)) came.body = changedBytes(came.body, changes);
  },
  says: (asked, said) => (path.test(asked.path) ? changedBytes(said, changes) : said),
});

/** In everything that is pushed. */
const altersPushed = (changes: Changes): Lie => ({
  pushes: (push) => {
    push.body = changedBytes(push.body, changes);
    for (const [name, value] of Object.entries(push.headers)) {
      delete push.headers[name];
      push.headers[changed(name, changes)] = changed(String(value), changes);
    }
    return undefined;
  },
});

/** These are read each in a way of its own: every field is altered there, and two elsewhere. */
const own = new Set(["page", "frames", "push-binary", "push-structured"]);

export const altered: readonly NamedProof<DoorsPlan>[] = Object.entries(waysOut).flatMap(([name, [out, path]]) =>
  Object.entries(alterations)
    .filter(([what]) => own.has(name) || what === "key" || what === "data")
    .map(([what, changes]) => {
      const lie = out.startsWith("push") ? altersPushed(changes) : alters(path, changes);
      return [`same-${name}, ${what}`, { invariant: `same-${name.split(",")[0]}`, plan: planOut(out), lie }] as const;
    }),
);

/** A record is stored before each that was sent, and nobody is told. */
const strays: Lie = {
  asks: ({ method, path, body }) => {
    if (method === "POST" && path.includes("/doors/records")) body.records.unshift({ key: "stray", data: 0 });
    return undefined;
  },
  tells: ({ method, path }, { body }) => {
    if (method === "POST" && path.includes("/doors/records")) body.verdicts.shift();
  },
};

/** One place is told twice, and another is not. */
export const twice: readonly NamedProof<DoorsPlan>[] = (
  ["lines", "whole", "keys", "events", "socket", "letters"] as const
).map((name) => {
  const [out, path] = waysOut[name] as readonly [Out, RegExp];
  return [
    `once, by ${name}`,
    { invariant: "once", plan: planOut(out), lie: alters(path, { '"offset":1,': '"offset":0,' }) },
  ];
});

/** A filter does not let it through, and lanes are of what is known. */
const blind = new Set<Out>(["keys", "chosen", "lanes"]);

export const stray: readonly NamedProof<DoorsPlan>[] = outs
  .filter((out) => !blind.has(out))
  .map((out) => [`nothing-else, by ${out}`, { invariant: "nothing-else", plan: planOut(out), lie: strays }]);

/** What shows records ends amid them. */
const tears = (path: RegExp): Lie => {
  const half = (bytes: Buffer) => bytes.subarray(0, bytes.length / 2);
  const shows = (said: Buffer) => said.includes('"n":') || said.includes("MR\u0001");
  return {
    shows: (asked, came) => {
      if (path.test(asked.path)) came.body = half(came.body);
    },
    says: (asked, said) => {
      if (!path.test(asked.path) || !shows(said)) return said;
      return said.toString().startsWith("data: ") ? Buffer.concat([half(said), Buffer.from("\n\n")]) : half(said);
    },
    pushes: (push) => {
      push.body = half(push.body);
      return undefined;
    },
  };
};

export const torn: readonly NamedProof<DoorsPlan>[] = Object.entries(waysOut)
  // A body of binary mode has no form of its own.
  .filter(([name]) => name !== "push-binary")
  .map(([name, [out, path]]) => [`readable, ${name}`, { invariant: "readable", plan: planOut(out), lie: tears(path) }]);

/** A record that was said to be stored, and is not. */
const loses: Lie = {
  asks: ({ method, body }) => {
    if (method !== "POST" || body?.records?.[0]?.key !== "lostkey") return undefined;
    return { status: 201, body: { verdicts: [{ verdict: "appended", partition: 0, offset: 1 }] } };
  },
};

const both = [draft(1, "json", key), draft(2, "json", odd("key", "lostkey"))];

/** Everything is waited for, but not for long. */
export const lost: readonly NamedProof<DoorsPlan>[] = outs.map((out) => {
  const invariant = out === "lanes" ? "lanes-told" : "complete";
  return [
    `${invariant}, by ${out}`,
    { invariant, plan: { ...empty, drafts: both, outs: [out] }, lie: loses, patience: 0.1 },
  ];
});
