import { scheduler } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { Archive } from "../../src/archive/archive.ts";
import { Snapshots, uploadMs } from "../../src/archive/snapshots.ts";
import { Parts } from "../../src/client/parts.ts";
import { Log } from "../../src/log/log.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Retention } from "../../src/log/spec.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { snapshotsLeaveNothing } from "../cases/snapshots.ts";
import { nodeSql } from "./sqlite.ts";

// As workerd has it.
Object.assign(globalThis, { scheduler });
// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

const data = new TextEncoder().encode("1");
const records = (count: number) => batch(Array.from({ length: count }, () => ({ kind: 1, data })));

function partition(retention: Partial<Retention> = {}, tail = 10) {
  const sql = nodeSql();
  const log = Log.create(sql, { ...spec, deduplicationWindowMs: 0, retention: { ...keepAll, ...retention } }, 0);
  if (tail > 0) log.append([records(tail)], 1_000);
  const snapshots = new Snapshots(log);
  let ids = 0;
  const begin = (offset: number, lease?: string, now = 1_000) =>
    snapshots.begin({ offset, contentType: "a/b", name: "", ...(lease && { lease }) }, `id${ids++}`, now);
  const put = (offset: number, lease?: string, now = 1_000) => {
    const begun = begin(offset, lease, now);
    return begun.ok ? snapshots.done(begun.value, { bytes: 3, crc: 7 }, now) : begun;
  };
  return { sql, log, snapshots, begin, put, offsets: () => snapshots.list().map(({ offset }) => offset) };
}

const code = (result: { ok: boolean; refusal?: { code: string } }) => (result.ok ? "ok" : result.refusal?.code);

describe("a lease", () => {
  const { snapshots, put, begin, log } = partition();
  const lease = (holder: string, seconds: number, now: number, offset?: number) =>
    snapshots.lease(holder, seconds * 1_000, offset, `lease of ${holder} at ${now}`, now);

  test("is one holder's until its time is over, and says whose", () => {
    expect(lease("a", 10, 1_000)).toMatchObject({ ok: true, value: { holder: "a", offset: 10, expires: 11_000 } });
    const refused = lease("b", 10, 10_999);
    expect(refused).toMatchObject({
      refusal: { code: "leased", facts: { holder: "a", offset: 10, expiresAt: "1970-01-01T00:00:11.000Z" } },
    });
  });

  test("is renewed by the same holder, for the same offset, whatever was appended", () => {
    log.append([records(5)], 5_000);
    const renewed = lease("a", 20, 6_000);
    expect(renewed).toMatchObject({
      value: { lease: "lease of a at 1000", offset: 10, expires: 26_000 },
    });
    expect(lease("a", 20, 6_000, 12)).toMatchObject({ value: { offset: 12 } });
  });

  test("passes to another when its time is over, and what names it is refused then", () => {
    const before = begin(10, "lease of a at 1000");
    expect(before.ok).toBe(true);
    expect(lease("b", 10, 26_000)).toMatchObject({ value: { lease: "lease of b at 26000", offset: 15 } });
    expect(put(10, "lease of a at 1000")).toMatchObject({ refusal: { code: "stale-lease", facts: { holder: "b" } } });
    // It was taken over while the object was on its way.
    expect(before.ok && code(snapshots.done(before.value, { bytes: 3, crc: 7 }, 26_000))).toBe("stale-lease");
    expect(snapshots.list()).toEqual([]);
    // One without a lease is as good: a lease saves work, and guards nothing.
    expect(code(put(11))).toBe("ok");
  });

  test("is good after its time while nobody has taken it, and free once the snapshot is there", () => {
    expect(code(put(15, "lease of b at 26000", 60_000))).toBe("ok");
    expect(code(lease("b", 100, 60_000))).toBe("ok");
    expect(code(lease("c", 10, 60_000))).toBe("leased");
    for (const _ of [1, 2]) expect(code(put(15, "lease of b at 26000", 60_000))).toBe("ok");
    expect(code(lease("c", 10, 60_000))).toBe("ok");
    expect(code(lease("c", 0, 61_000))).toBe("ok");
    expect(code(lease("d", 10, 61_000))).toBe("ok");
  });

  test("is for an offset that there can be a snapshot at", () => {
    log.trim(5, 70_000);
    expect(code(lease("e", 10, 80_000, 16))).toBe("past-tail");
    expect(code(lease("e", 10, 80_000, 4))).toBe("trimmed");
    expect(code(lease("e", 10, 80_000, 5))).toBe("ok");
  });
});

describe("snapshots", () => {
  test("are at offsets from the head to the tail", () => {
    const { put, log, snapshots } = partition();
    expect([put(10), put(11), put(0)].map(code)).toEqual(["ok", "past-tail", "ok"]);
    log.trim(4, 2_000);
    expect([put(3), put(4)].map(code)).toEqual(["trimmed", "ok"]);
    expect(snapshots.latest()).toMatchObject({ value: { offset: 10 } });
    expect(snapshots.latest(10)).toMatchObject({ value: { offset: 4 } });
    // Behind the one at 0 there is a gap now.
    expect(code(snapshots.latest(4))).toBe("snapshot-not-found");
  });

  test("are dropped but for the newest ones, and so are those that a stream comes to keep no more", () => {
    const { put, offsets, log } = partition({ snapshotsKept: 3 });
    for (const offset of [2, 4, 6, 8]) put(offset);
    expect(offsets()).toEqual([8, 6, 4]);
    // It would go at once.
    expect(code(put(3))).toBe("conflict");
    expect(code(put(5))).toBe("ok");
    expect(offsets()).toEqual([8, 6, 5]);
    log.configure({ ...log.spec, version: 2, retention: { ...keepAll, snapshotsKept: 1 } }, 2_000);
    new Archive(log, true).step(2_000, Number.MAX_SAFE_INTEGER);
    expect(offsets()).toEqual([8]);
    expect(log.segments.store.garbage(2_000, 10)).toHaveLength(4);
  });

  test("of one offset: the one that is done last", () => {
    const { begin, snapshots, log } = partition();
    const [a, b] = [begin(7), begin(7)];
    if (!a.ok || !b.ok) throw new Error("refused");
    snapshots.done(b.value, { bytes: 2, crc: 7 }, 1_000);
    snapshots.done(a.value, { bytes: 1, crc: 7 }, 1_000);
    expect(snapshots.list()).toMatchObject([{ id: a.value.id, bytes: 1 }]);
    expect(log.segments.store.garbage(1_000, 10)).toMatchObject([{ key: snapshots.keyOf(b.value) }]);
    // Asked again, it is what it was.
    expect(snapshots.done(a.value, { bytes: 1, crc: 7 }, 5_000)).toMatchObject({
      value: { id: a.value.id, created: 1_000 },
    });
    expect(code(snapshots.at(7, b.value.id))).toBe("snapshot-not-found");
  });

  test("come too late when their object is about to be deleted", () => {
    const { begin, snapshots, log } = partition();
    const archive = new Archive(log, true);
    const begun = begin(7);
    if (!begun.ok) throw new Error("refused");
    expect(code(snapshots.uploading(begun.value.id, 1_000 + uploadMs / 2 + 1))).toBe("ok");
    expect(archive.due(1_000 + uploadMs)).toBeUndefined();
    const at = 1_001 + uploadMs / 2 + uploadMs;
    expect(archive.due(at)).toMatchObject({ keys: [snapshots.keyOf(begun.value)], uploads: [] });
    expect(code(snapshots.done(begun.value, { bytes: 1, crc: 7 }, at))).toBe("upload-not-found");
    expect(code(snapshots.uploading(begun.value.id, at))).toBe("upload-not-found");
  });

  test("that have begun are counted", () => {
    const { begin, snapshots } = partition();
    const begun = Array.from({ length: limits.snapshotUploadsMax }, () => begin(7));
    expect(begun.every(({ ok }) => ok)).toBe(true);
    expect(code(begin(7))).toBe("too-many");
    snapshots.giveUp("id0", 1_000);
    expect(code(begin(7))).toBe("ok");
  });

  test("outlive the object, and are found where a read is to begin", () => {
    const { sql, put } = partition();
    put(4);
    const log = Log.open(sql, 0) as Log;
    expect(log.read({ from: { at: "snapshot" }, limit: 100, bytesMax: 1_000 })).toMatchObject({ value: { from: 4 } });
    log.trim(5, 2_000);
    expect(log.read({ from: { at: "snapshot" }, limit: 100, bytesMax: 1_000 })).toMatchObject({ value: { from: 5 } });
  });
});

describe("retention that waits for snapshots", () => {
  const bounded = { keepForSnapshot: true, retentionRecords: 8 };

  function filled(retention: Partial<Retention>) {
    const one = partition(retention, 0);
    for (let at = 0; at < 40; at++) one.log.append([records(1)], 1_000 + at);
    return { ...one, archive: new Archive(one.log, false), head: () => one.log.span.head };
  }

  test("drops nothing that the newest one does not cover", () => {
    const { archive, put, head } = filled(bounded);
    archive.step(2_000, Number.MAX_SAFE_INTEGER);
    expect(head()).toBe(0);
    put(10);
    archive.step(2_000, Number.MAX_SAFE_INTEGER);
    expect(head()).toBe(10);
    put(39);
    archive.step(2_000, 20);
    expect(head()).toBe(20);
    archive.step(2_000, Number.MAX_SAFE_INTEGER);
    expect(head()).toBe(32);
    // What waits for a snapshot is woken by it, and not by the clock.
    expect(archive.wakeAt(2_000)).toBeUndefined();
  });

  test("would drop it otherwise", () => {
    const { archive, head } = filled({ ...bounded, keepForSnapshot: false });
    archive.step(2_000, Number.MAX_SAFE_INTEGER);
    expect(head()).toBe(32);
  });

  test("keeps the archive's records too", () => {
    const expiring = { archive: true, archiveAgeMs: 1_000, retentionRecords: 8, keepForSnapshot: true };
    const { log, put, head } = filled(expiring);
    const archive = new Archive(log, true);
    const sha = new Uint8Array(32);
    for (let job = archive.due(2_000); job?.do === "upload"; job = archive.due(2_000)) {
      archive.uploaded(job.segment, { size: 1, indexBytes: 1, sha, prev: sha, print: sha }, 2_000);
    }
    archive.step(9_000, Number.MAX_SAFE_INTEGER);
    expect(head()).toBe(0);
    put(12);
    archive.step(9_000, Number.MAX_SAFE_INTEGER);
    expect(head()).toBe(12);
  });
});

test("a crash anywhere leaves nothing in the bucket that nobody knows", async () => {
  await snapshotsLeaveNothing(() => nodeSql(), times(45, 100));
});

test.each([
  [0, [0]],
  [1, [1]],
  [8_388_608, [8_388_608]],
  [8_388_609, [8_388_608, 1]],
  [20_000_000, [8_388_608, 8_388_608, 3_222_784]],
])("the parts of %i bytes, whatever they come from", async (length, sizes) => {
  const bytes = new Uint8Array(length).map((_, at) => at);
  async function* chunks() {
    for (let at = 0; at < length; at += 999_983) yield bytes.subarray(at, at + 999_983);
  }
  for (const body of [bytes, new Blob([bytes]), new Blob([bytes]).stream(), chunks()]) {
    const parts = new Parts(body);
    const first = await parts.take();
    const found: (Uint8Array | Blob)[] = [];
    if (parts.ended) found.push(first);
    else {
      parts.again(first, 8_388_608);
      while (!parts.ended) found.push(await parts.take());
    }
    expect(found.map((part) => (part instanceof Blob ? part.size : part.length))).toEqual(sizes);
    expect(Buffer.from(await new Blob(found as Uint8Array<ArrayBuffer>[]).arrayBuffer()).equals(bytes)).toBe(true);
  }
});
