/** What the command line says of a change, and of what holds records; and that it asks. */
import { describe, expect, test } from "vitest";
import { confirm } from "../../src/cli/confirm.ts";
import { beyondBounds, reasons } from "../../src/cli/held.ts";
import { Usage } from "../../src/cli/output.ts";
import { changes, losses } from "../../src/cli/stream-changes.ts";
import type { PartitionFacts } from "../../src/client/index.ts";

test("a change is told field by field, with what a number means", () => {
  const before = { partitions: 1, retentionAgeMs: 604_800_000, retentionBytes: null, compact: false };
  expect(changes(before, { ...before, retentionAgeMs: 86_400_000, retentionBytes: 1_048_576 })).toEqual([
    "  retentionAgeMs  604800000 (7d) -> 86400000 (1d)",
    "  retentionBytes  none -> 1048576 (1.00 MiB)",
  ]);
  expect(changes(before, { ...before })).toEqual([]);
});

test("what a change takes for good is told: records, older records of a key, snapshots", () => {
  const before = { compact: false, snapshotsKept: 3 };
  expect(losses("s", before, before)).toBeUndefined();
  expect(losses("s", before, before, 7)).toBe("7 records of 's' will be dropped");
  expect(losses("s", before, before, null)).toContain("could not be asked");
  expect(losses("s", before, { compact: true, snapshotsKept: 1 }, 1)).toBe(
    "1 record of 's' will be dropped; of each key of 's' only the latest record will be kept; of each partition of 's' only 1 snapshot will be kept",
  );
  expect(losses("s", { compact: true, snapshotsKept: 1 }, before)).toBeUndefined();
});

test("where nobody can be asked, what cannot be undone is refused, and says how to answer beforehand", async () => {
  await expect(confirm({ yes: false }, "it will be gone")).rejects.toThrow(new Usage("it will be gone: add --yes"));
  await expect(confirm({ yes: true }, "it will be gone")).resolves.toBeUndefined();
});

describe("a partition beyond its bounds", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  const facts = {
    partition: 0,
    head: 0,
    hotFrom: 0,
    tail: 100,
    records: 100,
    bytes: 10_000,
    hotBytes: 10_000,
    chunks: 9,
    firstTimestamp: "2026-11-29T11:00:00Z",
    lastTimestamp: "2026-11-29T11:59:00Z",
  } as PartitionFacts;

  test("is one that has more than an eighth more", () => {
    expect(beyondBounds({ retentionRecords: 89 }, facts, now)).toEqual([]);
    expect(beyondBounds({ retentionRecords: 88 }, facts, now)).toEqual(["100 records, and retentionRecords is 88"]);
    expect(beyondBounds({ retentionBytes: 1_024, retentionAgeMs: 60_000 }, facts, now)).toEqual([
      "9.77 KiB, and retentionBytes is 1.00 KiB",
      "records of 1h ago, and retentionAgeMs is 1m",
    ]);
    // What lies in the archive alone is where it should be.
    const archived = { ...facts, hotFrom: 95, hotBytes: 500 };
    expect(beyondBounds({ archive: true, retentionRecords: 10, retentionBytes: 600 }, archived, now)).toEqual([]);
  });

  test("is told what holds it", () => {
    const config = { deduplicationWindowMs: 120_000, keepForGroups: true, keepForSnapshot: true };
    const groups = [
      { group: "slow", head: 5 },
      { group: "done", head: 100 },
    ];
    expect(reasons(config, facts, { groups, snapshot: 40 }, now)).toEqual([
      "until 2026-11-29T12:01:00.000Z ids may come again (deduplicationWindowMs is 2m)",
      "the group 'slow' has finished what is before offset 5 (keepForGroups)",
      "the newest snapshot covers what is before offset 40 (keepForSnapshot)",
    ]);
    expect(reasons({ keepForSnapshot: true }, facts, { groups: [] }, now)).toEqual([
      "there is no snapshot (keepForSnapshot)",
    ]);
    expect(reasons({}, { ...facts, chunks: 1 }, { groups: [] }, now)).toEqual([
      "what was appended at once is never cut",
    ]);
    expect(reasons({}, facts, { groups: [] }, now)).toEqual([expect.stringContaining("in the background")]);
  });
});
