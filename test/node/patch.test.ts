/** Definitions that are changed in part: what a patch does not name stays, whatever it does name. */
import { describe, expect, test } from "vitest";
import { masked } from "../../schemas/credentials.ts";
import type { Result } from "../../schemas/errors.ts";
import { type GroupConfig, groupConfig, groupDefaults, groupPatch } from "../../schemas/group.ts";
import { changeBy, type Members, patched } from "../../schemas/patch.ts";
import { type StreamConfig, streamConfig, streamDefaults, streamPatch } from "../../schemas/stream.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import type { How } from "../../src/catalog/writing.ts";
import type { DeliverySpec } from "../../src/delivery/spec.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { Telling } from "../../src/objects/telling.ts";
import { value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

const secret = (letter: string) => `whsec_${letter.repeat(32)}`;

/** Nothing in it is a default. */
const stream: Required<StreamConfig> = {
  partitions: 2,
  deduplicationWindowMs: 1_000,
  timestamps: "client",
  offsets: "assigned",
  keyIndex: false,
  retentionAgeMs: 60_000,
  retentionBytes: 1_000_000,
  retentionRecords: 1_000,
  keepForGroups: true,
  archive: true,
  archiveAgeMs: 90_000,
  keepForSnapshot: true,
  snapshotsKept: 3,
  compact: true,
  deleteMarkerGraceMs: 5_000,
  ttlMs: 1_000_000,
  deleteOnEmptyMs: 70_000,
  segmentEvents: "events",
  parquet: [{ name: "total", path: "order.total", type: "double" }],
  recordBytesMax: 1_000,
  batchBytesMax: 10_000,
  placement: "weur",
};

const group: GroupConfig = {
  start: "latest",
  filter: { key: "a", tags: ["x", "y"], match: "any" },
  order: "key",
  maxInFlight: 7,
  memberMaxInFlight: 3,
  ackTimeoutMs: 1_000,
  maxDeliveries: 2,
  backoff: { initialMs: 10, factor: 3, maxMs: 100 },
  onFailure: "park",
  batch: { records: 5, bytes: 5_000, waitMs: 50 },
  rate: { perSecond: 10, burst: 4 },
  deadLetterStream: "letters",
  push: {
    url: "https://example.com/hook?key=0123456789",
    format: "batch",
    secrets: [secret("A"), secret("B")],
    headers: { Authorization: "Bearer first", "x-team": "blue" },
    timeoutMs: 3_000,
    concurrency: 2,
    validate: true,
    pauseAfterMs: 9_000,
  },
  durable: true,
  heartbeatMs: 5_000,
  only: ["a"],
};

/** Another value of each field that may be changed. */
const otherStream: Partial<StreamConfig> = {
  partitions: 3,
  deduplicationWindowMs: 2_000,
  retentionAgeMs: 61_000,
  retentionBytes: 2_000_000,
  retentionRecords: 2_000,
  keepForGroups: false,
  archive: false,
  archiveAgeMs: 91_000,
  keepForSnapshot: false,
  snapshotsKept: 4,
  compact: false,
  deleteMarkerGraceMs: 6_000,
  ttlMs: 2_000_000,
  deleteOnEmptyMs: 71_000,
  segmentEvents: "others",
  parquet: [],
  recordBytesMax: 2_000,
  batchBytesMax: 20_000,
  placement: "apac",
};

const otherGroup: Record<string, unknown> = {
  filter: { key: "b" },
  maxInFlight: 8,
  memberMaxInFlight: 4,
  ackTimeoutMs: 2_000,
  maxDeliveries: 3,
  backoff: { factor: 4 },
  onFailure: "skip",
  batch: { records: 6 },
  rate: { burst: 5 },
  deadLetterStream: "others",
  push: { timeoutMs: 4_000 },
  heartbeatMs: 6_000,
  only: ["b"],
};

/** What is set at creation. */
const fixed = ["timestamps", "offsets", "keyIndex", "start", "order", "durable"];

class Definitions {
  readonly core = new Catalog(nodeSql(), "default");

  constructor() {
    this.stream(stream);
    value(this.core.groups.put(this.of, "g", group, "b".repeat(20), 0));
  }

  get of() {
    return value(this.core.stream("s"));
  }

  stream(change: Members | Partial<StreamConfig>, how?: How) {
    return this.core.put("s", change, "a".repeat(20), 0, how);
  }

  group(change: Members | Partial<GroupConfig>, how?: How) {
    return this.core.groups.put(this.of, "g", change, "b".repeat(20), 1, how);
  }

  get streamConfig() {
    return this.of.config;
  }

  get groupConfig() {
    return value(this.core.groups.get(this.of, "g")).config;
  }
}

const code = (result: Result<unknown>) => (result.ok ? "ok" : result.refusal.code);

test("the table has every field of both definitions", () => {
  expect(Object.keys(stream).sort()).toEqual(Object.keys(streamConfig.shape).sort());
  expect(Object.keys(group).sort()).toEqual(Object.keys(groupConfig.shape).sort());
  const changed = (other: object) => [...Object.keys(other), ...fixed];
  for (const name of Object.keys(stream)) expect(changed(otherStream)).toContain(name);
  for (const name of Object.keys(group)) expect(changed(otherGroup)).toContain(name);
});

describe("a patch of one field keeps the others", () => {
  test.each(Object.keys(stream))("of a stream: %s", (name) => {
    const before = new Definitions().streamConfig;
    for (const given of [null, (otherStream as Members)[name]]) {
      const all = new Definitions();
      const done = all.stream({ [name]: given ?? null }, "patch");
      const wanted = given ?? (streamDefaults as unknown as Members)[name];
      // They may only grow.
      if (name === "partitions" && given === null) expect(code(done)).toBe("conflict");
      else if (fixed.includes(name) && wanted !== (before as unknown as Members)[name])
        expect(code(done)).toBe("conflict");
      else {
        expect(all.streamConfig).toEqual({ ...before, [name]: wanted });
        const once = all.of;
        expect(value(all.stream({ [name]: given ?? null }, "patch")).stream).toEqual(once);
      }
    }
  });

  test.each(Object.keys(group))("of a group: %s", (name) => {
    const before = new Definitions().groupConfig;
    for (const given of [null, otherGroup[name]]) {
      const all = new Definitions();
      const done = all.group({ [name]: given ?? null }, "patch");
      const wanted =
        given == null ? (groupDefaults as unknown as Members)[name] : patched(group[name as "push"], given);
      if (fixed.includes(name) && wanted !== group[name as "start"]) expect(code(done)).toBe("conflict");
      else {
        expect(done.ok).toBe(true);
        expect(all.groupConfig).toEqual({ ...before, [name]: wanted });
        const once = value(all.core.groups.get(all.of, "g"));
        expect(value(all.group({ [name]: given ?? null }, "patch")).group).toEqual(once);
      }
    }
  });

  test.each(Object.keys(group.push as object))("of a push: %s", (name) => {
    const all = new Definitions();
    const done = all.group({ push: { [name]: null } }, "patch");
    // Whom to push to has no default.
    if (name === "url")
      expect(done).toMatchObject({ ok: false, refusal: { code: "invalid", facts: { path: "push.url" } } });
    const { push, ...rest } = all.groupConfig;
    const { push: was, ...others } = group;
    expect(rest).toEqual(others);
    const { [name as "url"]: gone, ...left } = push as NonNullable<typeof push>;
    const { [name as "url"]: had, ...kept } = was as NonNullable<typeof was>;
    expect(left).toEqual(kept);
    if (name !== "url") expect(gone).not.toEqual(had);
  });

  test("an empty one changes nothing, and nothing is written", () => {
    const all = new Definitions();
    const before = [all.of, value(all.core.groups.get(all.of, "g"))];
    value(all.stream({}, "patch"));
    value(all.group({ push: {}, batch: {} }, "patch"));
    expect([all.of, value(all.core.groups.get(all.of, "g"))]).toEqual(before);
  });
});

describe("credentials", () => {
  test("stay where others are patched, and their masks stand for them", () => {
    const all = new Definitions();
    const shown = masked(group.push as NonNullable<GroupConfig["push"]>);
    value(all.group({ push: { url: shown.url, headers: { Authorization: "…", "x-team": "red" } } }, "patch"));
    expect(all.groupConfig.push).toEqual({
      ...group.push,
      headers: { Authorization: "Bearer first", "x-team": "red" },
    });
  });

  test("a new secret stands before the old ones, and the last goes: a rotation, as often as it is sent", () => {
    const all = new Definitions();
    const [first, second] = masked(group.push as NonNullable<GroupConfig["push"]>).secrets;
    for (let times = 0; times < 2; times++) {
      value(all.group({ push: { secrets: [secret("C"), first, second] } }, "patch"));
      expect(all.groupConfig.push?.secrets).toEqual([secret("C"), secret("A"), secret("B")]);
    }
    value(all.group({ push: { secrets: [`${secret("C").slice(0, 10)}…`] } }, "patch"));
    expect(all.groupConfig.push).toEqual({ ...group.push, secrets: [secret("C")] });
    const lost = all.group({ push: { secrets: [first] } }, "patch");
    expect(lost).toMatchObject({ ok: false, refusal: { code: "invalid", facts: { path: "push.secrets.0" } } });
  });

  test("a header is the one that is there, however its name is written", () => {
    const all = new Definitions();
    value(all.group({ push: { headers: { AUTHORIZATION: "Bearer second", "X-Team": null } } }, "patch"));
    expect(all.groupConfig.push?.headers).toEqual({ Authorization: "Bearer second" });
  });
});

describe("what comes of a patch must be right as a whole", () => {
  test.each<[string, Members, string]>([
    ["a target without its url", { push: null }, "push.url"],
    ["a filter of nothing", { filter: { key: null, tags: null, match: null } }, "filter"],
    ["several tags that do not say how", { filter: { match: null } }, "filter.match"],
    ["a pause that grows from nowhere", { backoff: { initialMs: null } }, "backoff.initialMs"],
  ])("%s", (_what, patch, path) => {
    const all = new Definitions();
    if (patch.push === null) {
      value(all.group(patch, "patch"));
      expect(all.group({ push: { timeoutMs: 5_000 } }, "patch")).toMatchObject({
        ok: false,
        refusal: { code: "invalid", facts: { path } },
      });
      return;
    }
    const before = all.groupConfig;
    expect(all.group(patch, "patch")).toMatchObject({ ok: false, refusal: { code: "invalid", facts: { path } } });
    expect(all.groupConfig).toEqual(before);
  });

  test("and of the right form: no member that is not known, at any depth", () => {
    for (const wrong of [{ pusch: {} }, { push: { ulr: "" } }, { batch: { recrds: 1 } }, { filter: [] }, { push: "a" }])
      expect(groupPatch.safeParse(wrong).success).toBe(false);
    for (const right of [
      { push: { secrets: null, headers: { a: null } } },
      { backoff: [1] },
      { backoff: { factor: null } },
    ])
      expect(groupPatch.safeParse(right)).toEqual({ success: true, data: right });
    expect(streamPatch.safeParse({ partitions: null, parquet: null }).success).toBe(true);
    expect(streamPatch.safeParse({ partitions: 0 }).success).toBe(false);
  });
});

test("what is not there is patched by nobody, and what is there is created by nobody", () => {
  const core = new Catalog(nodeSql(), "default");
  expect(code(core.put("none", {}, "a".repeat(20), 0, "patch"))).toBe("stream-not-found");
  const all = new Definitions();
  expect(code(all.core.groups.put(all.of, "none", {}, "c".repeat(20), 0, "patch"))).toBe("group-not-found");
  const before = [all.of, all.groupConfig];
  expect(code(all.stream({ recordBytesMax: 3_000 }, "create"))).toBe("exists");
  expect(code(all.group({ maxInFlight: 1 }, "create"))).toBe("exists");
  expect([all.of, all.groupConfig]).toEqual(before);
  expect(value(core.put("new", {}, "d".repeat(20), 0, "create")).created).toBe(true);
});

test("the examples of RFC 7396", () => {
  for (const [before, patch, after] of [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])
    expect(patched(before, patch)).toEqual(after);
  expect(changeBy({ a: null, b: 1 }, { a: 2, c: 3 }, { a: 9 })).toEqual({ a: 9, b: 1 });
});

test("a group that begins so long ago begins before its creation, whenever its deliveries are told", async () => {
  const core = new Catalog(nodeSql(), "default");
  const stream = value(core.put("s", {}, "a".repeat(20), 0)).stream;
  value(core.open("s", 0, 0));
  const created = 10_000_000;
  value(core.groups.put(stream, "g", { start: "90m" }, "b".repeat(20), created));
  const told: DeliverySpec[] = [];
  const configure = async (spec: DeliverySpec) => {
    told.push(spec);
    return { ok: true, value: undefined };
  };
  const env = { DELIVERY: { getByName: () => ({ configure }) } } as unknown as Env;
  for (let times = 0; times < 2; times++) {
    const [job] = core.groups.due(created + 120_000);
    await new Telling(env, core).delivery(job);
    core.groups.settle(job, true, created);
    expect(told[times].start).toEqual({ at: "time", time: created - 5_400_000 });
    // The same again is no other start.
    value(core.groups.put(stream, "g", { start: "90m", maxInFlight: 7 }, "b".repeat(20), created + 60_000));
  }
});
