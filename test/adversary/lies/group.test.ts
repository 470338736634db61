/** Every promise of a group, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import type { GroupConfig, ScriptPlan, Step } from "../group/plan.ts";
import { type GroupPlan, group } from "../group/program.ts";
import type { ScenePlan } from "../group/scenes/plan.ts";
import type { Asked, Lie } from "./liar.ts";
import { finds, keeps, type Proof } from "./proof.ts";

const usual: GroupConfig = {
  order: "key",
  onFailure: "block",
  maxDeliveries: 3,
  ackTimeoutMs: 15_000,
  backoff: [0],
  maxInFlight: 1000,
  memberMaxInFlight: null,
  heartbeatMs: 30_000,
  filter: null,
};

const script = (config: Partial<GroupConfig>, ...steps: Step[]): ScriptPlan => ({
  kind: "script",
  scripts: [{ partitions: 1, group: { ...usual, ...config }, steps }],
  kills: [],
});

const append = (...keys: number[]): Step => ({ do: "append", records: keys.map((key) => ({ key, tag: "red" })) });
const receive = (max = 10, member = "m1"): Step => ({ do: "receive", member, max, waitMs: 200 });
const live = { of: "live", from: 0, count: 100 } as const;
const ack: Step = { do: "ack", pick: live };
const nack: Step = { do: "nack", pick: live };
const look: Step = { do: "look" };
const sleep = (ms: number): Step => ({ do: "sleep", ms });

/** Other terms than were asked for. */
const asks = (path: RegExp, change: (body: Json, asked: Asked) => void): Lie => ({
  asks: (asked) => {
    if (path.test(asked.path)) change(asked.body, asked);
    return undefined;
  },
});

/** Another answer than was given. */
const tells = (path: RegExp, change: (body: Json) => void): Lie => ({
  tells: (asked, told) => {
    if (path.test(asked.path) && told.status < 300) change(told.body);
  },
});

/** An answer in the service's place. */
const instead = (path: RegExp, status: number, body: Json): Lie => ({
  asks: (asked) => (path.test(asked.path) ? { status, body } : undefined),
});

const definition = /\/groups\/g$/;
const receiving = /\/receive$/;
const letters = /\/dead-letters\?/;
const config = (changed: Json): Lie =>
  asks(definition, (body, { method }) => {
    if (method === "PUT") Object.assign(body, changed);
  });
const deliveries = (change: (deliveries: Json[]) => Json[]): Lie =>
  tells(receiving, (body) => {
    body.deliveries = change(body.deliveries);
  });

const one = script({}, append(0), receive(), ack, look);
const two = script({ maxInFlight: 1 }, append(0, 0, 1), receive(), ack, receive(1), ack);
const short = script({ ackTimeoutMs: 400 }, append(0), receive(), ack, sleep(900), receive());
const again = script({}, append(0), receive(), sleep(500), receive(1, "m2"), ack);
const later = script(
  {},
  append(0),
  receive(),
  { do: "nack", pick: live, delayMs: 900 },
  receive(),
  sleep(900),
  receive(),
);
const dead = script({ onFailure: "park", maxDeliveries: 1 }, append(0), receive(), nack, look);
const waits = script(
  {},
  append(0),
  receive(),
  { do: "nack", pick: live, delayMs: 600_000 },
  { do: "lane", order: "resume", share: 0 },
);
const forged = script({}, append(0, 1), receive(), { do: "forge", pick: live, how: "digit", call: "ack" });
const paused = script({}, { do: "pause" }, append(0), receive(), { do: "resume" });
const incident = script({}, { do: "only", keys: [0] }, append(0, 1), receive(), ack);
const filtered = script(
  { filter: { tags: ["blue"], match: "any" } },
  {
    do: "append",
    records: [
      { key: 0, tag: "red" },
      { key: 1, tag: "blue" },
    ],
  },
  receive(),
);
const sought = script({}, append(0), receive(), { do: "seek", to: "earliest", share: 0 }, receive());

const beside: ScenePlan = {
  kind: "fair",
  partitions: 1,
  member: "pull",
  members: 1,
  batch: 5,
  poisoned: 10,
  fresh: 30,
  onFailure: "block",
  backoffMs: 0,
  perSecond: null,
  maxInFlight: 1000,
  workMs: 0,
};
const stuck: ScenePlan = { kind: "parked", member: "pull", keys: 5, fresh: 3, by: 1 };
const rate: ScenePlan = {
  kind: "rate",
  partitions: 1,
  growth: 0,
  perSecond: 5,
  burst: null,
  members: 1,
  batch: 5,
  seconds: 2,
};
const heard: ScenePlan = { kind: "heartbeat", partitions: 1, heartbeatMs: 1500, records: 4, pings: true };
const idle: ScenePlan = { kind: "idle", partitions: 1, growth: 0, why: "empty", pollers: 1, sockets: 0, records: 1 };

const stranger = { partition: 0, offset: 0, key: "k0", attempt: 1, receipt: "0.0", data: 0 };
let burnt = 0;

const proofs: readonly Proof<GroupPlan>[] = [
  { invariant: "order", plan: two, lie: config({ order: "none", maxInFlight: 10 }) },
  { invariant: "one-lease", plan: again, lie: config({ ackTimeoutMs: 200 }) },
  { invariant: "settled-once", plan: short, lie: instead(/\/ack$/, 200, { settled: 1 }) },
  {
    invariant: "none-lost",
    plan: one,
    lie: tells(receiving, (body) => Object.assign(body, { lost: [{ partition: 0, from: 0, to: 1 }] })),
  },
  { invariant: "attempts", plan: one, lie: deliveries((list) => list.map((one) => ({ ...one, attempt: 2 }))) },
  { invariant: "receipts", plan: one, lie: instead(/\/ack$/, 409, { code: "stale-lease" }) },
  {
    invariant: "made-up",
    plan: forged,
    lie: {
      tells: (asked, told) => {
        if (asked.path.endsWith("/ack") && told.status === 400)
          Object.assign(told, { status: 200, body: { settled: 1 } });
      },
    },
  },
  {
    invariant: "not-before",
    plan: later,
    lie: asks(/\/nack$/, (body) => {
      body.delayMs = 0;
    }),
  },
  { invariant: "in-flight", plan: two, lie: config({ maxInFlight: 1000 }) },
  {
    invariant: "credits",
    plan: script({}, append(0, 1), receive(1)),
    lie: asks(receiving, (body) => {
      body.max = 10;
    }),
  },
  { invariant: "paused", plan: paused, lie: instead(/\/pause$/, 200, {}) },
  {
    invariant: "only",
    plan: incident,
    lie: asks(definition, (body) => {
      if (body?.only) body.only = null;
    }),
  },
  { invariant: "filter", plan: filtered, lie: config({ filter: null }) },
  { invariant: "unchanged", plan: one, lie: deliveries((list) => list.map((one) => ({ ...one, data: { n: -1 } }))) },
  {
    invariant: "letters",
    plan: dead,
    lie: tells(letters, (body) => {
      body.letters = [];
    }),
  },
  {
    invariant: "tries",
    plan: dead,
    lie: tells(letters, (body) => {
      for (const letter of body.letters) letter.tries = [];
    }),
  },
  { invariant: "lanes", plan: waits, lie: instead(/\/lanes\/resume$/, 404, { code: "not-found" }) },
  {
    invariant: "seek",
    plan: sought,
    lie: tells(/\/seek$/, (body) => {
      body.partitions[0].offset = 1;
    }),
  },
  {
    invariant: "lag",
    plan: one,
    lie: tells(/\/status$/, (body) => {
      body.lag += 1;
    }),
  },
  {
    invariant: "status",
    plan: one,
    lie: tells(/\/status$/, (body) => {
      body.inFlight += 1;
    }),
  },
  { invariant: "fairness", plan: beside, lie: deliveries((list) => list.filter(({ key }) => key.startsWith("bad"))) },
  {
    invariant: "healthy",
    plan: stuck,
    patience: 0.1,
    lie: deliveries((list) => list.filter(({ key }) => key.startsWith("stuck"))),
  },
  { invariant: "rate", plan: rate, lie: config({ rate: { perSecond: 1000, burst: 1000 } }) },
  {
    invariant: "heartbeat",
    plan: heard,
    lie: {
      tells: (asked, told) => {
        if (asked.body?.member === "other") told.body.deliveries = [stranger];
      },
    },
  },
  {
    invariant: "idle",
    plan: idle,
    lie: {
      machine: {
        cpuMs: () => {
          burnt += 1000;
          return burnt;
        },
      },
    },
  },
  { invariant: "drained", plan: one, patience: 0.1, lie: instead(receiving, 200, { deliveries: [] }) },
  { invariant: "never-500", plan: one, lie: instead(receiving, 500, {}) },
  {
    invariant: "answered",
    plan: one,
    patience: 0.02,
    lie: { asks: ({ path }) => (receiving.test(path) ? "silence" : undefined) },
  },
  { invariant: "accepted", plan: one, lie: instead(definition, 422, { code: "invalid" }) },
  { invariant: "alive", plan: one, lie: { machine: { died: "ended by itself" } } },
];

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(endAll);

const named = (list: readonly Proof<GroupPlan>[]) => list.map((proof) => [proof.invariant, proof] as const);
/** What waiting costs is measured on a machine that rests. */
const plans = [...new Set(proofs.map(({ plan }) => plan))].filter((plan) => plan !== idle);

describe.concurrent("a promise of a group that is broken is found", () => {
  test.each(named(proofs))("%s", (_, proof) => finds(group, proof, service));

  test("each of them", ({ expect }) => {
    const promised = [...Object.keys(group.invariants), "never-500", "answered", "accepted", "alive"];
    expect(promised.filter((name) => !proofs.some(({ invariant }) => invariant === name))).toEqual([]);
  });
});

describe.concurrent("without the lie nothing is found", () => {
  test.each(plans.map((plan, i) => [i, plan] as const))("plan %i", (_, plan) => keeps(group, plan, service));
});
