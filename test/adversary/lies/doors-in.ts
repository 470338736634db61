/** Lies where things come in besides records by HTTP: by sockets, as whole bodies, and elsewhere. */
import { places } from "../doors/places.ts";
import type { DoorsPlan } from "../doors/plan.ts";
import type { Json } from "../frame/http.ts";
import { alters, draft, empty, feeds, key, odd } from "./doors-out.ts";
import type { Lie } from "./liar.ts";
import type { NamedProof } from "./proof.ts";

const proof = (name: string, plan: DoorsPlan, lie: Lie): NamedProof<DoorsPlan> => [
  name,
  { invariant: name.split(",")[0] as string, plan, lie },
];

/** Another answer to what was appended by a socket. */
const says = (change: (message: Json) => Json): Lie => ({
  says: ({ path }, said) => {
    if (!path.endsWith("/doors/live")) return said;
    const message = JSON.parse(said.toString());
    if (message.type !== "verdicts" && message.type !== "error") return said;
    return Buffer.from(JSON.stringify(change(message) ?? message));
  },
});

const refused = { type: "error", code: "invalid", detail: "records.0: key: is no key", retryable: false, clean: true };
const stored = [{ verdict: "appended", partition: 0, offset: 0, count: 2 }];
const taken = feeds(draft(1, "socket", key));
const refusedThere = feeds(draft(1, "socket", odd("key", "")));
const inText = feeds({ ...draft(1, "socket"), data: "bad-plus" });

const bySockets = [
  proof(
    "allowed, by a socket",
    taken,
    says(({ answers: [{ id }] }) => ({ ...refused, id })),
  ),
  proof(
    "forbidden, by a socket",
    refusedThere,
    says(({ id }) => ({ type: "verdicts", answers: [{ id, runs: stored }] })),
  ),
  proof(
    "problem, by a socket",
    refusedThere,
    says((message) => {
      delete message.clean;
    }),
  ),
  proof(
    "problem, by the end of a socket",
    inText,
    says((message) => {
      delete message.retryable;
    }),
  ),
  proof(
    "named, by a socket",
    refusedThere,
    says(({ detail, ...rest }) => ({ ...rest, detail: detail.replace("key: ", "") })),
  ),
  proof(
    "placed, by a socket",
    refusedThere,
    says(({ detail, ...rest }) => ({ ...rest, detail: detail.replace("records.1: ", "") })),
  ),
  proof(
    "verdicts, by a socket",
    taken,
    says(({ answers }) => {
      answers[0].runs[0].count = 2;
    }),
  ),
  proof(
    "distinct, by a socket",
    taken,
    says(({ answers }) => {
      answers[0].runs[0].verdict = "duplicate";
    }),
  ),
];

const bodies: DoorsPlan = { ...empty, bodies: true };

/** Another body than was sent; that the same stands in several does not matter. */
const sends = (from: string, to: string): Lie => ({
  asks: (asked) => {
    const text = asked.bytes.toString("latin1");
    if (text.includes(from)) asked.bytes = Buffer.from(text.replace(from, to), "latin1");
    return undefined;
  },
});

const mark = Buffer.from("\ufeff").toString("latin1");

/** Of a refused body. */
const refusal = (change: (problem: Json) => void): Lie => ({
  tells: ({ path }, { status, body }) => {
    if (path.includes("/bodies/records") && status >= 400) change(body);
  },
});

const asBodies = [
  proof("allowed, as a body", bodies, sends(mark, mark + mark)),
  proof("forbidden, as a body", bodies, sends(mark + mark, mark)),
  proof(
    "problem, as a body",
    bodies,
    refusal((problem) => {
      problem.clean = false;
    }),
  ),
  proof("last-counts, of keys", bodies, sends('"key":"last"', '"key":"first"')),
  proof("last-counts, of data", bodies, sends('"data":"last"', '"data":"first"')),
  proof("last-counts, of escaped names", bodies, sends('"\\u006bey":"last"', '"\\u006bey":"first"')),
  proof("nothing-else, as a body", bodies, {
    tells: ({ path }, { body }) => {
      if (path.includes("/bodies/records?from")) body.records.push({ ...body.records.at(-1), data: 7 });
    },
  }),
];

const at = (place: string, text: string): DoorsPlan => ({
  ...empty,
  elsewhere: [{ place, value: { name: "odd", text } }],
});

/** Half of a surrogate pair is nothing anywhere. */
const halves = Object.keys(places).map((place) => [place, at(place, "\ud800")] as const);

const vague: Lie = {
  tells: (_, { status, body }) => {
    if (status >= 400) body.detail = "Too small: expected string to have >=1 characters";
  },
};

/** Where a ticket is wrong, it is told that there is no permission, and no more. */
const unnamed = halves
  .filter(([place]) => place !== "ticket")
  .map(([place, plan]) => proof(`named, ${place}`, plan, vague));

const told = Object.entries(places)
  .filter(([place, { check }]) => check !== undefined && place !== "producer")
  .map(([place]) => proof(`echoed, ${place}`, at(place, "oddvalue"), alters(/odd|other/, { oddvalue: "addvalue" })));

let asked = 0;
const elsewhere = [
  ...unnamed,
  ...told,
  proof("distinct, producer", at("producer", "oddvalue"), {
    asks: ({ headers }) => {
      if (headers["producer-id"] === "oddvalue" && ++asked === 2) headers["producer-id"] = "addvalue";
      return undefined;
    },
  }),
  proof("never-5xx, elsewhere", at("from", "oddvalue"), {
    asks: ({ path }) => (path.includes("oddvalue") ? { status: 502, body: {} } : undefined),
  }),
  proof("allowed, elsewhere", at("read-key", "oddvalue"), {
    asks: ({ path }) => (path.includes("oddvalue") ? { status: 400, body: {} } : undefined),
  }),
  proof("forbidden, elsewhere", at("direction", "oddvalue"), {
    asks: (request) => {
      request.path = request.path.replace("oddvalue", "forward");
      return undefined;
    },
  }),
  proof("problem, elsewhere", at("direction", "oddvalue"), {
    tells: (_, { status, body }) => {
      if (status >= 400) delete body.code;
    },
  }),
];

export const comingIn: readonly NamedProof<DoorsPlan>[] = [...bySockets, ...asBodies, ...elsewhere];
