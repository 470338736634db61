/** Hostile: whoever means no good, with a right token, a wrong one, and none. */
import type { Program } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { hostilePlan } from "./generate.ts";
import type { HostilePlan } from "./plan.ts";
import { runHostile } from "./run.ts";

const kinds = ["field", "stranger", "body", "header", "raw", "socket", "crowd", "lasting"] as const;

export const hostile: Program<HostilePlan> = {
  name: "hostile",
  summary: "requests, tokens, bodies, sockets and crowds of those who mean no good",
  invariants: {
    "never-5xx": "what a client sends is never the service's fault; a 503 says to ask again, and when",
    again: "what is refused with the word to ask again is answered in the end",
    problem: "a refusal is a problem, in the form that is promised",
    table: "a code means what the table of codes says",
    listed: "an operation refuses with codes that /openapi.json lists for it",
    schema: "what /openapi.json does not allow is refused",
    stranger: "without a right token the answer is 401, and 403 with a ticket for something else",
    rights: "a ticket allows what its rights say",
    "reads-nothing": "nobody sees a record without the right to it",
    "learns-nothing": "without a right token what there is is refused in the words of what there is not",
    "changes-nothing": "what is refused, and what only reads, changes nothing",
    "ticket-ends": "a socket ends with its ticket",
    "socket-words": "what a socket says is a message, and its errors are problems of the table",
    closings: "a socket is closed with a code of the protocol",
    framing: "a request whose length can be read in two ways is answered once, and its connection ends",
    addressed: "a request is for the path of its first line",
    memory: "slow and absent clients hold a bounded part of the memory",
    served: "whoever does nothing wrong is answered soon, whatever others do",
    kept: "what was stored beside all that is there, in order, and comes to its group",
  },
  features: {
    fields: "odd values in every place of every operation",
    strangers: "wrong, cut, forged and foreign tokens and tickets",
    bodies: "odd bodies",
    headers: "odd headers and methods",
    raw: "bytes that are no HTTP",
    sockets: "odd messages and frames on sockets",
    crowds: "slow and absent clients",
    kills: "deaths of the service",
    encodings: "bodies in an encoding that is not known",
    "expired-tickets": "tickets whose time is over",
    "cut-bodies": "bodies that are cut off, or whose chunks are broken",
    hosts: "hosts that are none",
    "host-paths": "hosts with a path",
    "lasting-tickets": "sockets that outlive their ticket",
    "held-bodies": "crowds whose bodies stop before their end, or grow when they are unpacked",
    credits: "crowds that give credits on sockets, and never read",
    "binary-pages": "crowds that read large pages of binary records as JSON",
  },
  plan: hostilePlan,
  run: runHostile,
  smaller: ({ attacks }) => [
    ...kinds.flatMap((kind) => {
      const own = attacks.filter((attack) => attack.kind === kind);
      return own.length > 0 && own.length < attacks.length ? [{ name: `only-${kind}`, plan: { attacks: own } }] : [];
    }),
    ...thinner(attacks, "attacks").map(({ name, list }) => ({ name, plan: { attacks: list } })),
  ],
  size: ({ attacks }) =>
    kinds
      .map((kind) => [attacks.filter((attack) => attack.kind === kind).length, kind] as const)
      .filter(([count]) => count > 0)
      .map(([count, kind]) => `${count} ${kind}`)
      .join(", "),
};
