/** Every promise of a push, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import type { Beat, Habit, PushGroup, Sent, WebhookPlan } from "../webhook/plan.ts";
import { webhook } from "../webhook/program.ts";
import type { Lie, Push } from "./liar.ts";
import { finds, keeps, type Proof } from "./proof.ts";

const usual: PushGroup = {
  theme: "quirks",
  order: "key",
  onFailure: "block",
  maxDeliveries: 3,
  backoff: [50],
  format: "binary",
  batch: 10,
  concurrency: 1,
  timeoutMs: 1500,
  pauseAfterMs: 86_400_000,
  secrets: 0,
  validate: false,
  phases: [],
};

const record = (key: number | null): Sent => ({ key, form: "number" });
const append = (...keys: (number | null)[]): Beat => ({ afterMs: 200, do: "append", records: keys.map(record) });
const phase = (ms: number, habit: Habit) => ({ ms, habit });
const plan = (group: Partial<PushGroup>, ...beats: Beat[]): WebhookPlan => ({
  partitions: 1,
  groups: [{ ...usual, ...group }],
  beats,
  idleMs: 0,
  killAtEnd: false,
});

const definition = /\/groups\/g0$/;
const config = (change: (body: Json) => void): Lie => ({
  asks: ({ method, path, body }) => {
    if (method === "PUT" && definition.test(path) && body?.push !== undefined) change(body);
    return undefined;
  },
});
const tells = (path: RegExp, change: (body: Json) => void): Lie => ({
  tells: (asked, told) => {
    if (asked.method === "GET" && path.test(asked.path)) change(told.body);
  },
});
const pushes = (change: (push: Push) => void): Lie => ({
  pushes: (push) => {
    change(push);
    return undefined;
  },
});
/** Only what is of the poisoned key comes through; the receiver is said to have answered so. */
const swallowed = (status: number): Lie => ({
  pushes: ({ headers }) => (headers["ce-partitionkey"] === "k0" ? undefined : status),
});

const simple = plan({}, append(0, 1, null));
const signed = plan({ secrets: 1 }, append(0));
const slow = plan({ phases: [phase(1500, { kind: "slow", ms: 200 })] }, append(0, 0, 0, null, null, null));
const wide = plan({ concurrency: 6, phases: [phase(1000, { kind: "slow", ms: 200 })] }, append(0, 0, 0));
const failing = plan({ onFailure: "skip", phases: [phase(1200, { kind: "down", by: "500" })] }, append(0));
const poisoned = plan(
  { theme: "poison", phases: [phase(200, { kind: "good" }), phase(3000, { kind: "poisoned", keys: 1, by: "500" })] },
  append(0, 1, 2),
);
const busy = plan({ theme: "busy", phases: [phase(2500, { kind: "busy", status: 429, retryAfter: "2" })] }, append(0));
const crowded = plan(
  { theme: "busy", format: "batch", phases: [phase(1500, { kind: "busy", status: 429, retryAfter: "1" })] },
  append(0, 1, 2),
);
const gone = plan({ theme: "gone", phases: [phase(2500, { kind: "gone" })] }, append(0, 1));
const held = plan({ phases: [phase(3000, { kind: "slow", ms: 150 })] }, append(...Array(24).fill(null)), {
  afterMs: 200,
  do: "pause",
  group: 0,
  ms: 2200,
});
const refusing = plan(
  { theme: "handshake", validate: true, phases: [phase(1200, { kind: "no-handshake" })] },
  append(0),
);

const proofs: readonly Proof<WebhookPlan>[] = [
  {
    invariant: "unchanged",
    plan: simple,
    lie: pushes((push) => {
      push.body = Buffer.concat([push.body, Buffer.from(" ")]);
    }),
  },
  {
    invariant: "webhook-id",
    plan: simple,
    lie: pushes(({ headers }) => {
      headers["webhook-id"] += "0";
    }),
  },
  {
    // A batch whose id says something of the attempt.
    invariant: "webhook-id",
    plan: crowded,
    lie: pushes(({ headers }) => {
      const hash = String(crypto.getRandomValues(new Uint32Array(1))[0]).padStart(16, "0");
      headers["webhook-id"] = String(headers["webhook-id"]).replace(/[0-9a-f]{16}$/, hash);
    }),
  },
  {
    invariant: "signature",
    plan: signed,
    lie: pushes(({ headers }) => {
      delete headers["webhook-signature"];
    }),
  },
  {
    invariant: "target",
    plan: simple,
    lie: pushes((push) => {
      push.path = "/trap";
    }),
  },
  {
    invariant: "order",
    plan: wide,
    lie: config((body) => {
      body.order = "none";
    }),
  },
  {
    invariant: "settled-once",
    plan: simple,
    lie: pushes((push) => {
      push.times = 2;
    }),
  },
  {
    invariant: "attempts",
    plan: simple,
    lie: pushes(({ headers }) => {
      headers["ce-millraceattempt"] = "2";
    }),
  },
  {
    invariant: "concurrency",
    plan: slow,
    lie: config((body) => {
      body.push.concurrency = 6;
    }),
  },
  { invariant: "healthy", plan: poisoned, patience: 0.2, lie: swallowed(500) },
  { invariant: "turns", plan: poisoned, lie: swallowed(500) },
  {
    invariant: "own-failures",
    plan: failing,
    lie: config((body) => {
      body.maxDeliveries = 1;
    }),
  },
  {
    invariant: "tries",
    plan: failing,
    lie: tells(/\/dead-letters\?/, (body) => {
      for (const letter of body.letters) letter.tries = [];
    }),
  },
  {
    invariant: "retry-after",
    plan: busy,
    lie: {
      answers: ({ headers }) => {
        headers["retry-after"] = "1";
      },
    },
  },
  {
    invariant: "gone",
    plan: gone,
    lie: {
      answers: (answer) => {
        if (answer.status === 410) answer.status = 500;
      },
      ...tells(/\/groups\/g0(\/status)?$/, (body) => {
        body.paused = true;
      }),
    },
  },
  {
    invariant: "paused",
    plan: held,
    lie: { asks: ({ path }) => (path.endsWith("/pause") ? { status: 200, body: {} } : undefined) },
  },
  {
    invariant: "told-paused",
    plan: gone,
    patience: 0.1,
    lie: tells(/\/status$/, (body) => {
      body.paused = false;
    }),
  },
  {
    invariant: "not-paused",
    plan: simple,
    lie: tells(/\/status$/, (body) => {
      body.paused = true;
    }),
  },
  {
    invariant: "handshake",
    plan: refusing,
    lie: config((body) => {
      body.push.validate = false;
    }),
  },
  {
    invariant: "attempts-told",
    plan: simple,
    patience: 0.3,
    lie: tells(/\/attempts\?/, (body) => {
      body.attempts = [];
    }),
  },
  { invariant: "drained", plan: simple, patience: 0.02, lie: { pushes: () => 204 } },
];

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(endAll);

const named = proofs.map((proof) => [proof.invariant, proof] as const);
const plans = [...new Set(proofs.map((proof) => proof.plan))];

describe.concurrent("a promise of a push that is broken is found", () => {
  test.each(named)("%s", (_, proof) => finds(webhook, proof, service));

  test("each of them", ({ expect }) => {
    const promised = Object.keys(webhook.invariants);
    expect(promised.filter((name) => !proofs.some(({ invariant }) => invariant === name))).toEqual([]);
  });
});

describe.concurrent("without the lie nothing is found", () => {
  test.each(plans.map((plan, i) => [i, plan] as const))("plan %i", (_, plan) => keeps(webhook, plan, service));
});
