/** Finding where the newest records begin: the pages that are wanted for it are read, wherever they lie. */
import { ok, type Refusal } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Filter } from "../log/filter.ts";
import { Newest } from "../log/newest.ts";
import type { Answer, PageAnswer, ReadCall } from "./answer.ts";

/** Bytes of one page; of all that are read at a time, as far as that leaves any to a partition. */
const pageBytes = 1_048_576;
const shareBytesMin = 65_536;

/** Places of the newest records that a filter lets through, over all the partitions. */
export async function findNewest(
  count: number,
  partitions: readonly number[],
  filter: Filter | undefined,
  read: (partition: number, call: ReadCall) => Promise<Answer<PageAnswer>>,
): Promise<Answer<Newest>> {
  if (count > limits.lastRecordsMax) return { ok: false, refusal: tooMany(count) };
  const newest = new Newest(partitions, count, filter);
  const bytesMax = Math.max(shareBytesMin, Math.floor(pageBytes / partitions.length));
  const terms = { backward: true, bytesMax, waitMs: 0, ...(filter === undefined ? {} : { filter }) };
  let pages = 0;
  for (let wanted = newest.wanted(); wanted.length > 0; wanted = newest.wanted()) {
    // Each partition is looked at once, however many there are.
    if (pages >= limits.lastPagesMax && pages >= partitions.length) return { ok: false, refusal: tooFar(count) };
    pages += wanted.length;
    const answers = await Promise.all(
      wanted.map(({ partition, from, limit }) => read(partition, { ...terms, from, limit })),
    );
    for (const [index, answer] of answers.entries()) {
      const { partition } = wanted[index];
      if (answer.ok) newest.take(partition, answer.value);
      else if ("refusal" in answer && answer.refusal.code === "trimmed") newest.end(partition);
      else return answer;
    }
  }
  return ok(newest);
}

const elsewhere = "begin at a time, or read backward page by page";

const tooMany = (count: number): Refusal => ({
  code: "invalid",
  detail: `from: at most the newest ${limits.lastRecordsMax} records are counted over several partitions, or behind a filter, not ${count}; ${elsewhere}`,
  facts: { path: "from", limit: limits.lastRecordsMax },
});

const tooFar = (count: number): Refusal => ({
  code: "invalid",
  detail: `from: the newest ${count} records that the filter lets through reach further back than ${limits.lastPagesMax} pages; ${elsewhere}`,
  facts: { path: "from", limit: limits.lastPagesMax },
});
