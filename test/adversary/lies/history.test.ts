/** Every promise about the past, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import type { Drawn, HistoryPlan, Settings, Step } from "../history/plan.ts";
import { history } from "../history/program.ts";
import type { Asked, Lie } from "./liar.ts";
import { finds, keeps, type Proof } from "./proof.ts";

const plan = (settings: Settings, ...steps: Step[]): HistoryPlan => ({
  scripts: [{ partitions: 1, settings, steps }],
  kills: [],
});

const value = (key: number | null): Drawn => ({ key, subject: null, form: "value" });
const marker = (key: number): Drawn => ({ key, subject: null, form: "marker" });
const append = (...batches: Drawn[][]): Step => ({ do: "append", batches });
const look: Step = { do: "look", queries: [] };
const copy: Step = { do: "copy", how: "new-id", elsewhere: false };
const erase: Step = { do: "erase", key: 0, wait: true };
const many = append(...Array.from({ length: 30 }, () => [value(0)]));

const page = /\/records\?/;
const facts = /\/partitions\/\d+$/;

/** Another answer than was given. */
const tells = (method: string, path: RegExp, change: (body: Json, asked: Asked) => void): Lie => ({
  tells: (asked, told) => {
    if (asked.method === method && path.test(asked.path) && told.status < 300) change(told.body, asked);
  },
});
const pages = (change: (body: Json) => void): Lie => tells("GET", page, change);
const hides = (which: (record: Json) => boolean, path = page): Lie =>
  tells("GET", path, (body) => {
    body.records = (body.records as Json[] | undefined)?.filter((record) => !which(record));
  });
/** The first time only. */
function once(change: (body: Json) => void): (body: Json) => void {
  let times = 0;
  return (body) => {
    if (times++ === 0) change(body);
  };
}

/** The stream is not compacted, whatever it is told. */
const uncompacted: Lie = {
  asks: ({ method, body }) => {
    if (method === "PUT" && body?.compact !== undefined) body.compact = false;
    return undefined;
  },
};
/** What is to be forgotten is not, and the receipt is there at once. */
const remembered: Lie = {
  asks: ({ path, body }) => {
    if (!path.includes("/erasures")) return undefined;
    const partitions = [{ partition: 0, state: "done", to: 1000, at: 1000, records: 1, unread: [] }];
    return { status: 202, body: { id: body?.id, done: true, partitions } };
  },
};

/** A group never gets a record, and says that it has everything. */
const undelivered = (which: (record: Json) => boolean): Lie => ({
  tells: ({ method, path }, { body }) => {
    if (method === "POST" && path.endsWith("/receive"))
      body.deliveries = (body.deliveries as Json[]).filter((record) => !which(record));
    if (method === "GET" && path.endsWith("/groups/g/status")) body.lag = 0;
  },
});

/** Compaction that comes to the first record before the group does, once it has been read. */
function compactedMeanwhile(): Lie {
  const isFirst = ({ offset }: Json) => offset === 0;
  let receipt: string | undefined;
  return {
    asks: (asked) => {
      // The group is done with it without a word.
      if (asked.path.endsWith("/ack")) asked.body.receipts.push(receipt);
      return uncompacted.asks?.(asked);
    },
    tells: (asked, told) => {
      if (asked.path.endsWith("/receive")) receipt ??= told.body.deliveries.find(isFirst).receipt;
      undelivered(isFirst).tells?.(asked, told);
      if (receipt !== undefined) hides(isFirst).tells?.(asked, told);
    },
  };
}

const plain = plan({}, append([value(0), value(1)], [value(null)]), look);
const archived = plan({ archive: true, retentionRecords: 8 }, many, { do: "settle" }, look);
const compacted: Settings = { compact: true, deleteMarkerGraceMs: 0 };
const renewed = plan(compacted, append([value(0), value(0)]), look);
const renewedLater = plan(compacted, append([value(0), value(null)], [value(0)]), look);
const removed = plan(compacted, append([value(0), marker(0)]), look);
const copied = plan({}, append([value(0), value(1)]), copy);
const copiedRemoval = plan(compacted, append([value(0), marker(0)]), copy);
const grown = plan(compacted, append([value(0)]), { do: "grow", by: 1 }, append([marker(0)]), look);
const forgotten = plan({}, append([value(0), value(1)]), erase, look);
const received = plan({}, append([value(0), value(1)]), erase, { do: "receive", max: 10, nack: false });
const lettered = plan({}, append([value(0)]), { do: "receive", max: 10, nack: true }, erase, { do: "redrive" });
const forgottenInArchive = plan({ archive: true, retentionRecords: 8 }, many, { do: "settle" }, erase);
const harmed = plan({ archive: true, retentionRecords: 8 }, many, { do: "settle" }, look, {
  do: "harm",
  how: "flipped",
  share: 0.5,
  isolate: true,
});
const snapshot = plan({ archive: true }, append([value(0), value(1)]), { do: "snapshot", where: 0, share: 0.99 });
const windowed = plan({ deduplicationWindowMs: 60_000, retentionRecords: 1 }, append([value(0), value(1)]), look);
const small = plan({}, append([value(0), value(1), value(2)]), {
  do: "look",
  queries: [{ by: "forward", partition: 0, limit: 1, share: 0, accept: "json" }],
});

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
});
