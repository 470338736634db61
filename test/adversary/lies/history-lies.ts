/** Plans about the past, and what stands between them and the service: lies, and what the documents allow but seldom comes. */
import type { Json } from "../frame/http.ts";
import type { Drawn, HistoryPlan, Settings, Step } from "../history/plan.ts";
import type { Asked, Lie } from "./liar.ts";

export const plan = (settings: Settings, ...steps: Step[]): HistoryPlan => ({
  scripts: [{ partitions: 1, settings, steps }],
  kills: [],
});

export const value = (key: number | null): Drawn => ({ key, subject: null, form: "value" });
export const marker = (key: number): Drawn => ({ key, subject: null, form: "marker" });
export const append = (...batches: Drawn[][]): Step => ({ do: "append", batches });
export const look: Step = { do: "look", queries: [] };
export const copy: Step = { do: "copy", how: "new-id", elsewhere: false };
export const erase: Step = { do: "erase", key: 0, wait: true };
export const many = append(...Array.from({ length: 30 }, () => [value(0)]));

export const page = /\/records\?/;
export const facts = /\/partitions\/\d+$/;

/** Another answer than was given. */
export const tells = (method: string, path: RegExp, change: (body: Json, asked: Asked) => void): Lie => ({
  tells: (asked, told) => {
    if (asked.method === method && path.test(asked.path) && told.status < 300) change(told.body, asked);
  },
});
export const pages = (change: (body: Json) => void): Lie => tells("GET", page, change);
export const hides = (which: (record: Json) => boolean, path = page): Lie =>
  tells("GET", path, (body) => {
    body.records = (body.records as Json[] | undefined)?.filter((record) => !which(record));
  });
/** The first time only. */
export function once(change: (body: Json) => void): (body: Json) => void {
  let times = 0;
  return (body) => {
    if (times++ === 0) change(body);
  };
}

/** The stream is not compacted, whatever it is told. */
export const uncompacted: Lie = {
  asks: ({ method, body }) => {
    if (method === "PUT" && body?.compact !== undefined) body.compact = false;
    return undefined;
  },
};
/** What is to be forgotten is not, and the receipt is there at once. */
export const remembered: Lie = {
  asks: ({ path, body }) => {
    if (!path.includes("/erasures")) return undefined;
    const partitions = [{ partition: 0, state: "done", to: 1000, at: 1000, records: 1, unread: [] }];
    return { status: 202, body: { id: body?.id, done: true, partitions } };
  },
};

/** A group never gets a record, and says that it has everything. */
export const undelivered = (which: (record: Json) => boolean): Lie => ({
  tells: ({ method, path }, { body }) => {
    if (method === "POST" && path.endsWith("/receive"))
      body.deliveries = (body.deliveries as Json[]).filter((record) => !which(record));
    if (method === "GET" && path.endsWith("/groups/g/status")) body.lag = 0;
  },
});

/** Compaction that comes to the first record before the group does, once it has been read. */
export function compactedMeanwhile(): Lie {
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

/** The answer to the first ack is lost. */
export function unheard(): Lie {
  let heard = false;
  return {
    shows: ({ path }, came) => {
      if (!heard && path.endsWith("/ack")) came.status = 0;
      heard ||= path.endsWith("/ack");
    },
  };
}

/** A copy whose second partition had done what was asked before it was dumped, and whose first one goes on with it. */
export const doneInPart: Lie = {
  asks: ({ method, path }) => {
    if (method !== "GET" || !/-copy-.*\/erasures\//.test(path)) return undefined;
    const view = { partition: 0, state: "done", to: 1000, at: 1000, records: 1, unread: [] };
    return { status: 200, body: { id: path.split("/").at(-1), done: true, partitions: [view] } };
  },
  tells: ({ path }, { body }) => {
    if (/\/s0\/erasures/.test(path)) body.done &&= copies.has(path.split("/")[2] as string);
    if (/-copy-.*\/restore\/finish/.test(path)) copies.add(path.split("/")[2] as string);
  },
};
/** Namespaces in which there is a copy. */
export const copies = new Set<string>();

/** What was cut off may yet come, and is waited for. */
export const waits = tells("GET", /\/erasures\//, (body) => {
  body.done = false;
});

export const plain = plan({}, append([value(0), value(1)], [value(null)]), look);
export const archived = plan({ archive: true, retentionRecords: 8 }, many, { do: "settle" }, look);
export const compacted: Settings = { compact: true, deleteMarkerGraceMs: 0 };
export const renewed = plan(compacted, append([value(0), value(0)]), look);
export const renewedLater = plan(compacted, append([value(0), value(null)], [value(0)]), look);
export const removed = plan(compacted, append([value(0), marker(0)]), look);
export const copied = plan({}, append([value(0), value(1)]), copy);
export const copiedRemoval = plan(compacted, append([value(0), marker(0)]), copy);
export const grown = plan(compacted, append([value(0)]), { do: "grow", by: 1 }, append([marker(0)]), look);
export const forgotten = plan({}, append([value(0), value(1)]), erase, look);
export const unforgotten = plan({}, append([value(0), value(1)]), { do: "erase", key: 0, wait: false });
export const received = plan({}, append([value(0), value(1)]), erase, { do: "receive", max: 10, nack: false });
export const lettered = plan({}, append([value(0)]), { do: "receive", max: 10, nack: true }, erase, { do: "redrive" });
export const forgottenInArchive = plan({ archive: true, retentionRecords: 8 }, many, { do: "settle" }, erase);
export const harmed = plan({ archive: true, retentionRecords: 8 }, many, { do: "settle" }, look, {
  do: "harm",
  how: "flipped",
  share: 0.5,
  isolate: true,
});
export const snapshot = plan({ archive: true }, append([value(0), value(1)]), {
  do: "snapshot",
  where: 0,
  share: 0.99,
});
export const windowed = plan(
  { deduplicationWindowMs: 60_000, retentionRecords: 1 },
  append([value(0), value(1)]),
  look,
);
export const small = plan({}, append([value(0), value(1), value(2)]), {
  do: "look",
  queries: [{ by: "forward", partition: 0, limit: 1, share: 0, accept: "json" }],
});

/** Retention that comes by when a group has finished five records and is to forget the sixth, which none of its members had. */
export function droppedForgotten(): Lie {
  let asked = false;
  const gone = hides(({ offset }) => offset < 6);
  return {
    tells: (question, told) => {
      asked ||= question.path.endsWith("/erasures");
      if (!asked || told.body === undefined) return;
      if (facts.test(question.path)) told.body.head = Math.max(told.body.head, 6);
      gone.tells?.(question, told);
    },
  };
}
export const forgottenBeforeDelivery = plan(
  { keepForGroups: true, retentionRecords: 16 },
  append(...[null, null, null, null, null, 1, ...Array.from({ length: 16 }, () => null)].map((key) => [value(key)])),
  { do: "receive", max: 5, nack: false },
  { do: "erase", key: 1, wait: true },
  look,
);
