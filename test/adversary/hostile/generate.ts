/** Draws a round: attacks of every kind, in any order. */
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import { breakers } from "./breakers.ts";
import { bodyForms, encodings, headerForms } from "./forms.ts";
import { anyMessages, frames, groupMessages, streamMessages } from "./messages.ts";
import {
  type Attack,
  type Crowding,
  credentials,
  crowds,
  type HostilePlan,
  rights,
  type SocketAttack,
  ways,
} from "./plan.ts";
import { values } from "./values.ts";

/** What a client of one of these crowds is left out with. */
const crowdFeatures: Partial<Readonly<Record<Crowding, string>>> = {
  stalls: "held-bodies",
  crumbs: "held-bodies",
  pieces: "held-bodies",
  bombs: "held-bodies",
  creditors: "credits",
  pages: "binary-pages",
};

interface Amounts {
  readonly fields: number;
  readonly strangers: number;
  readonly bodies: number;
  readonly headers: number;
  readonly raw: number;
  readonly sockets: number;
  readonly crowds: number;
}

const brief: Amounts = { fields: 120, strangers: 80, bodies: 24, headers: 24, raw: 8, sockets: 5, crowds: 1 };
const long: Amounts = { fields: 400, strangers: 240, bodies: 80, headers: 80, raw: 25, sockets: 25, crowds: 2 };

/** So many of a kind come one after another: what must change nothing is looked at together. */
const runMax = 20;

/** Shares of a list that reach all of it in a few draws. */
function spread(random: Random): () => number {
  let at = random.next();
  return () => {
    at = (at + 0.618033988749895) % 1;
    return at;
  };
}

function socketAttack(random: Random): SocketAttack {
  const door = random.chance(0.65) ? "stream" : "group";
  const own = Object.keys(door === "stream" ? streamMessages : groupMessages);
  const steps = Array.from({ length: random.int(1, 6) }, () =>
    random.weighted([
      [6, random.pick(own)],
      [2, random.pick(Object.keys(anyMessages))],
      [2, random.pick(Object.keys(frames))],
    ]),
  );
  const right = random.chance(0.5) ? { right: random.pick(rights) } : {};
  return { kind: "socket", door, partition: random.chance(0.5), binary: random.chance(0.3), ...right, steps };
}

export function hostilePlan(random: Random, scale: Scale): HostilePlan {
  const has = (feature: string) => !scale.without.has(feature);
  const amounts = scale.brief ? brief : long;
  const runs: Attack[][] = [];
  const draw = (feature: keyof Amounts, make: (random: Random) => Attack) => {
    const own = random.fork(feature);
    for (let left = has(feature) ? amounts[feature] : 0; left > 0; left -= runMax) {
      runs.push(Array.from({ length: Math.min(left, runMax) }, () => make(own)));
    }
  };
  const operation = spread(random.fork("operations"));
  draw("fields", (own) => ({
    kind: "field",
    operation: operation(),
    place: own.next(),
    value: own.pick(values).name,
  }));
  const shown = credentials.filter((one) => has("expired-tickets") || one !== "expired-ticket");
  draw("strangers", (own) => ({
    kind: "stranger",
    operation: operation(),
    credential: own.pick(shown),
    way: own.pick(ways),
  }));
  const forms = Object.keys(bodyForms).filter((form) => has("encodings") || !encodings.has(form));
  draw("bodies", (own) => ({ kind: "body", operation: operation(), form: own.pick(forms) }));
  draw("headers", (own) => ({ kind: "header", operation: operation(), form: own.pick(Object.keys(headerForms)) }));
  const raw = Object.keys(breakers).filter((form) => has(breakers[form]?.feature ?? "raw"));
  draw("raw", (own) => ({ kind: "raw", form: own.pick(raw) }));
  draw("sockets", socketAttack);
  const people = crowds.filter((who) => has(crowdFeatures[who] ?? "crowds"));
  const size = scale.brief ? { count: 12, ms: 1200, mebibytes: 16 } : { count: 64, ms: 5000, mebibytes: 64 };
  draw("crowds", (own) => ({ kind: "crowd", who: own.pick(people), ...size }));
  const mixed = random.fork("order").shuffle(runs).flat();
  const kills = random.fork("kills");
  if (has("kills") && kills.chance(scale.brief ? 0.3 : 0.6)) {
    const kill: Attack = { kind: "kill", how: kills.chance(0.7) ? "kill" : "term" };
    mixed.splice(kills.int(0, mixed.length), 0, kill);
  }
  if (has("lasting-tickets")) mixed.unshift({ kind: "lasting" });
  return { attacks: mixed };
}
