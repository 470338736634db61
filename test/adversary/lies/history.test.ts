/** Every promise about the past, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, test } from "vitest";
import { endAll, Service } from "../frame/service.ts";
import type { Drawn, HistoryPlan, Step } from "../history/plan.ts";
import { history } from "../history/program.ts";
import {
  append,
  archived,
  compactedMeanwhile,
  copied,
  copiedRemoval,
  copy,
  doneInPart,
  droppedForgotten,
  facts,
  forgotten,
  forgottenBeforeDelivery,
  forgottenInArchive,
  grown,
  harmed,
  hides,
  lettered,
  many,
  once,
  page,
  pages,
  plain,
  plan,
  received,
  remembered,
  removed,
  renewed,
  renewedLater,
  small,
  snapshot,
  tells,
  uncompacted,
  undelivered,
  unforgotten,
  unheard,
  waits,
  windowed,
} from "./history-lies.ts";
import { finds, keeps, type Proof } from "./proof.ts";

const seen = new Set<string>();

const proofs: readonly Proof<HistoryPlan>[] = [
  {
    invariant: "offsets",
    plan: plain,
    lie: tells("POST", /\/records$/, (body) => {
      body.verdicts[0].offset++;
    }),
  },
  {
    invariant: "made-up",
    plan: plain,
    lie: pages((body) => body.records.push({ ...body.records[0], offset: 9999 })),
  },
  {
    invariant: "unchanged",
    plan: plain,
    lie: pages((body) => {
      body.records[0].data.n += 7;
    }),
  },
  { invariant: "kept", plan: plain, lie: hides(({ offset }) => offset === 1) },
  {
    invariant: "retention",
    plan: plain,
    lie: tells("GET", facts, (body) => {
      body.head = 2;
    }),
  },
  {
    invariant: "retention-copied",
    plan: copied,
    lie: tells("GET", facts, (body, { path }) => {
      if (path.includes("-copy-")) body.head = 1;
    }),
  },
  {
    invariant: "window",
    plan: windowed,
    lie: tells("GET", facts, (body) => {
      body.head = 1;
    }),
  },
  {
    invariant: "head",
    plan: plain,
    lie: tells("GET", facts, (body) => {
      body.head = 999;
    }),
  },
  {
    invariant: "came-back",
    plan: renewed,
    lie: { ...uncompacted, ...pages(once((body) => body.records.shift())) },
  },
  { invariant: "deleted", plan: removed, lie: { ...uncompacted, ...hides(({ data }) => data === undefined) } },
  { invariant: "deleted-grown", plan: grown, lie: { ...uncompacted, ...hides(({ data }) => data === undefined) } },
  {
    invariant: "deleted-copied",
    plan: copiedRemoval,
    lie: { ...uncompacted, ...hides(({ data }) => data === undefined, /-copy-.*\/records\?/) },
  },
  { invariant: "reads", plan: plain, lie: pages((body) => body.records.reverse()) },
  {
    invariant: "pages",
    plan: small,
    lie: {
      asks: (asked) => {
        asked.path = asked.path.replace(/limit=\d+/, "limit=1000");
        return undefined;
      },
    },
  },
  {
    invariant: "immutable",
    plan: plain,
    lie: {
      tells: (asked, told) => {
        if (asked.method !== "GET" || !page.test(asked.path) || told.headers === undefined) return;
        told.headers["cache-control"] = "private, immutable";
        if (seen.has(asked.path)) told.body.records.shift();
        seen.add(asked.path);
      },
    },
  },
  {
    invariant: "whole",
    plan: plain,
    patience: 0.1,
    lie: pages((body) => {
      body.damaged = [{ from: 0, to: 1 }];
    }),
  },
  {
    invariant: "whole-at-once",
    plan: plain,
    lie: pages(
      once((body) => {
        body.damaged = [{ from: 0, to: 1 }];
      }),
    ),
  },
  {
    invariant: "archived",
    plan: archived,
    patience: 0.02,
    lie: tells("GET", facts, (body) => {
      body.archived.segments = 0;
    }),
  },
  {
    invariant: "verify",
    plan: plain,
    lie: tells("POST", /\/verify$/, (body) => {
      body.intact = false;
    }),
  },
  {
    invariant: "isolate",
    plan: harmed,
    lie: tells("GET", /\/repair$/, (body) => {
      body.lost = [{ from: 0, to: 30, reason: "damaged" }];
    }),
  },
  {
    invariant: "erased",
    plan: plain,
    lie: pages((body) => {
      const [{ partition, offset, timestamp }] = body.records;
      body.records[0] = { partition, offset, timestamp, type: "millrace.erased" };
    }),
  },
  { invariant: "forgotten", plan: forgotten, lie: remembered },
  { invariant: "forgotten-delivered", plan: received, lie: remembered },
  { invariant: "forgotten-letters", plan: lettered, lie: remembered },
  { invariant: "bucket", plan: forgottenInArchive, lie: remembered },
  {
    invariant: "receipts",
    plan: forgotten,
    lie: tells("POST", /\/erasures$/, (body) => {
      body.partitions = [];
    }),
  },
  {
    invariant: "group-lost",
    plan: plain,
    lie: tells("POST", /\/receive$/, (body) => {
      body.lost = [{ partition: 0, from: 0, to: 1, why: "trimmed" }];
    }),
  },
  {
    invariant: "drained",
    plan: plain,
    patience: 0.03,
    lie: tells("POST", /\/receive$/, (body) => {
      body.deliveries = [];
    }),
  },
  { invariant: "drained", plan: plain, lie: undelivered(({ offset }) => offset === 1) },
  { invariant: "drained", plan: renewedLater, lie: { ...uncompacted, ...undelivered(({ offset }) => offset === 0) } },
  {
    invariant: "snapshots",
    plan: snapshot,
    lie: {
      shows: ({ method, path }, came) => {
        if (method === "GET" && /\/snapshots\/\d/.test(path)) came.body = Buffer.from("another");
      },
    },
  },
  {
    invariant: "restored",
    plan: copied,
    lie: { asks: ({ path }) => (path.includes("/restore?dump=") ? { status: 409, body: {} } : undefined) },
  },
  {
    invariant: "freed",
    plan: archived,
    patience: 0.2,
    lie: {
      asks: ({ method, path }) =>
        method === "DELETE" && path.includes("/streams/") ? { status: 200, body: {} } : undefined,
    },
  },
];

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(endAll);

const named = proofs.map((proof) => [proof.invariant, proof] as const);
const plans = [...new Set(proofs.map((proof) => proof.plan))];

describe.concurrent("a promise about the past that is broken is found", () => {
  test.each(named)("%s", (_, proof) => finds(history, proof, service));

  test("each of them", ({ expect }) => {
    const promised = Object.keys(history.invariants);
    expect(promised.filter((name) => !proofs.some(({ invariant }) => invariant === name))).toEqual([]);
  });
});

describe.concurrent("without the lie nothing is found", () => {
  test.each(plans.map((plan, i) => [i, plan] as const))("plan %i", (_, plan) => keeps(history, plan, service));

  test("what is compacted while the group reads need not come", () =>
    keeps(history, renewedLater, service, compactedMeanwhile()));

  test("what was given out, and acked without an answer, need not come again", () =>
    keeps(history, plan({}, many, { do: "receive", max: 10, nack: false }), service, unheard()));

  test("what is to be forgotten is kept for no group", () =>
    keeps(history, forgottenBeforeDelivery, service, droppedForgotten()));

  test("a copy has no word of what was done before it was made", () => {
    const batch = [0, 1, 2, 3, 4, 5].map((key): Drawn => ({ key, subject: 0, form: "value" }));
    const asked: Step[] = [
      { do: "erase", subject: 0, wait: false },
      { do: "sleep", ms: 1000 },
    ];
    const script = { partitions: 2, settings: {}, steps: [append(batch), ...asked, copy] };
    return keeps(history, { scripts: [script], kills: [] }, service, doneInPart);
  });
});

test("what a death behind the last step cuts off is waited for", async () => {
  const own = await Service.start();
  try {
    await keeps(history, { ...unforgotten, kills: [{ step: 9, how: "kill" }] }, own, waits);
  } finally {
    await own.stop();
  }
});
