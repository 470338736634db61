/** Every promise about damage, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Blow, Commit, DamagePlan, FilePlan, Reader, StreamPlan, Way } from "../damage/plan.ts";
import { damage } from "../damage/program.ts";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import type { Lie } from "./liar.ts";
import { finds, keeps, type Proof } from "./proof.ts";

const commits: readonly Commit[] = Array.from({ length: 24 }, (_, i) => ({
  records: [{ key: i % 3, size: 10, afterMs: 1 }],
}));
/** In one of the oldest objects, which has long left the database. */
const blow: Blow = { on: "object", which: 0.1, part: "records", at: 0.5, bit: 0 };
const reader = (way: Way): Reader => ({
  way,
  partition: way === "group" ? null : 0,
  key: null,
  from: { at: "earliest" },
  window: 1000,
});
const plan = (stream: Partial<StreamPlan> = {}, file?: FilePlan): DamagePlan => ({
  streams: [
    {
      partitions: 1,
      stamps: false,
      keep: 8,
      commits: [commits],
      blows: [[blow]],
      readers: [],
      repair: false,
      ...stream,
    },
  ],
  how: "kill",
  ...(file && { file }),
});

const simple = plan();
const grouped = plan({ readers: [reader("group")] });
const repaired = plan({ repair: true });
const kept = plan({ blows: [[]], snapshot: 40 });
const filed = plan({ repair: true }, { stream: 0, restore: true, blows: [{ how: "flipped", at: 0.5, bit: 0 }] });
/** Of this file nothing is cut off. */
const unharmed = plan({ repair: true }, { stream: 0, restore: false, blows: [{ how: "cut", at: 1, bit: 1 }] });

const tells = (method: string, path: RegExp, change: (body: Json) => void): Lie => ({
  tells: (asked, told) => {
    if (asked.method === method && path.test(asked.path) && told.body !== undefined) change(told.body);
  },
});
/** Of a reader, not of the program when it looks at what there is before anything is damaged. */
const pages = (change: (body: Json) => void) => tells("GET", /records\?.*limit=1000$/, change);
const verify = (change: (body: Json) => void) => tells("POST", /\/verify/, change);
const intact = (body: Json) => Object.assign(body, { intact: true, damaged: [] });
const another = { from: 20, to: 21, reason: "a lie" };
/** What `change` does, from the repair on. */
const later = (lie: Lie): Lie => {
  let repaired = false;
  return {
    asks: ({ method, path }) => {
      repaired ||= method === "POST" && path.endsWith("/repair");
      return undefined;
    },
    tells: (asked, told) => {
      if (repaired) lie.tells?.(asked, told);
    },
  };
};

const proofs: readonly Proof<DamagePlan>[] = [
  {
    invariant: "settles",
    plan: simple,
    patience: 0.05,
    lie: tells("GET", /\/partitions\/0$/, (body) => {
      body.archived.segments = -1;
    }),
  },
  { invariant: "whole", plan: simple, lie: tells("GET", /limit=10000$/, (body) => body.records.pop()) },
  {
    invariant: "served",
    plan: simple,
    lie: {
      asks: ({ path }) => (path.endsWith("limit=1000") ? { status: 404, body: { code: "not-found" } } : undefined),
    },
  },
  {
    invariant: "reads",
    plan: simple,
    lie: pages(({ records }) => {
      records[0].data.n = 77;
    }),
  },
  { invariant: "once", plan: simple, lie: pages(({ records }) => records.push(records.at(-1))) },
  { invariant: "order", plan: simple, lie: pages(({ records }) => records.reverse()) },
  {
    invariant: "told",
    plan: simple,
    lie: pages((body) => {
      body.damaged = [];
    }),
  },
  { invariant: "only", plan: simple, lie: pages(({ damaged }) => damaged.push(another)) },
  {
    invariant: "lost-once",
    plan: grouped,
    lie: tells("POST", /\/receive$/, (body) => {
      if (body.lost !== undefined) body.lost.push(...body.lost);
    }),
  },
  {
    invariant: "ends",
    plan: simple,
    lie: pages((body) => {
      Object.assign(body, { records: [], damaged: [], upToDate: false });
    }),
  },
  {
    invariant: "well-formed",
    plan: simple,
    lie: pages((body) => {
      delete body.records;
    }),
  },
  { invariant: "named", plan: simple, lie: verify(intact) },
  { invariant: "only-named", plan: simple, lie: verify(({ damaged }) => damaged.push(another)) },
  {
    invariant: "mended",
    plan: repaired,
    lie: later(verify((body) => Object.assign(body, { intact: false, damaged: [another] }))),
  },
  { invariant: "repair-exact", plan: repaired, lie: tells("POST", /\/repair$/, ({ lost }) => lost.push(another)) },
  {
    invariant: "repair-told",
    plan: repaired,
    lie: tells("GET", /\/repair$/, (body) => {
      body.lost = [];
    }),
  },
  {
    invariant: "never-again",
    plan: repaired,
    lie: later(
      tells("POST", /\/records/, ({ verdicts }) => {
        verdicts[0].offset = 1;
      }),
    ),
  },
  {
    invariant: "snapshot",
    plan: kept,
    lie: {
      shows: ({ method, path }, came) => {
        if (method === "GET" && path.includes("/snapshots/")) came.body = Buffer.from("a lie");
      },
    },
  },
  {
    invariant: "dump-named",
    plan: filed,
    lie: {
      asks: ({ method, path }) =>
        method === "GET" && path.includes("/dump?part=state") ? { status: 503, body: { code: "damaged" } } : undefined,
    },
  },
  { invariant: "file-named", plan: unharmed, lie: {} },
  {
    invariant: "file-refused",
    plan: filed,
    lie: {
      asks: ({ path }) => (path.endsWith("/streams/s0-no") ? { status: 200, body: { stream: "s0-no" } } : undefined),
    },
  },
  {
    invariant: "restored",
    plan: filed,
    lie: {
      asks: ({ method, path }) =>
        method === "POST" && path.includes("/s0-copy/restore?")
          ? { status: 400, body: { code: "bad-dump" } }
          : undefined,
    },
  },
];

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(endAll);

// One after another: each kills the service.
const named = proofs.map((proof) => [proof.invariant, proof] as const);
const plans = [...new Set(proofs.map((proof) => proof.plan))].filter((plan) => plan !== unharmed);

describe("a promise about damage that is broken is found", () => {
  test.each(named)("%s", (_, proof) => finds(damage, proof, service));

  test("each of them", ({ expect }) => {
    const promised = Object.keys(damage.invariants);
    expect(promised.filter((name) => !proofs.some(({ invariant }) => invariant === name))).toEqual([]);
  });
});

describe("without the lie nothing is found", () => {
  test.each(plans.map((plan, i) => [i, plan] as const))("plan %i", (_, plan) => keeps(damage, plan, service));
});
