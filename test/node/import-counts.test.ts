/** An import's counts, over answers that were lost and processes that were killed. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { minus, none, plus, type Tails, tally, there } from "../../src/cli/import/counts.ts";
import type { Run } from "../../src/cli/numbered.ts";

/** A log that knows the ids of its records, and its answers to batches. */
class Log {
  readonly partitions: string[][] = [[], []];
  readonly #answers = new Map<string, Run[]>();
  readonly #ids = new Map<string, { partition: number; offset: number }>();

  get tails(): Tails {
    return this.partitions.map(({ length }) => length);
  }

  append(number: string, ids: readonly string[]): Run[] {
    const before = this.#answers.get(number);
    if (before !== undefined) {
      return before.map((run) => (run.verdict === "appended" ? { ...run, verdict: "duplicate" as const } : run));
    }
    const runs = ids.map((id): Run => {
      const known = this.#ids.get(id);
      if (known !== undefined) return { verdict: "duplicate", ...known, count: 1 };
      const partition = id.charCodeAt(0) % 2;
      const place = { partition, offset: this.partitions[partition].push(id) - 1 };
      this.#ids.set(id, place);
      return { verdict: "appended", ...place, count: 1 };
    });
    this.#answers.set(number, runs);
    return runs;
  }
}

const rows = fc.array(fc.constantFrom(..."abcdefghijklmnop"), { maxLength: 30 });
/** What happens at each sending of a batch. */
const events = fc.array(fc.constantFrom("answered", "lost", "killed before", "killed after"), { maxLength: 30 });

test("however often it is killed, each run counts what it has done, and all of them what is there", () => {
  fc.assert(
    fc.property(rows, rows, events, fc.integer({ min: 1, max: 5 }), (earlier, ids, events, size) => {
      const log = new Log();
      log.append("earlier", earlier);
      const before = log.partitions.flat().length;
      const next = events[Symbol.iterator]();
      let saved = { batch: 0, counts: none, tails: log.tails };
      let runs = none;
      for (let ended = false; !ended; ) {
        const begun = saved.counts;
        ended = true;
        while (saved.batch * size < ids.length) {
          const batch = ids.slice(saved.batch * size, (saved.batch + 1) * size);
          const event = next.next().value ?? "answered";
          if (event === "killed before") ended = false;
          if (!ended) break;
          const answer = log.append(`import ${saved.batch}`, batch);
          if (event === "killed after") ended = false;
          if (!ended) break;
          // It is sent again by the same process.
          if (event === "lost") continue;
          const { counts, tails } = tally(answer, saved.tails);
          saved = { batch: saved.batch + 1, counts: plus(saved.counts, counts), tails };
        }
        runs = plus(runs, minus(saved.counts, begun));
      }
      const imported = log.partitions.flat().length - before;
      expect(saved.counts).toEqual({ ...none, imported, duplicates: ids.length - imported });
      expect(runs).toEqual(saved.counts);
    }),
  );
});

test("an import whose state was lost has imported nothing, killed again or not", () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 6 }), (ids, size, forgotten) => {
      const log = new Log();
      const batches = Array.from({ length: Math.ceil(ids.length / size) }, (_, n) =>
        ids.slice(n * size, (n + 1) * size),
      );
      for (const [n, batch] of batches.entries()) log.append(String(n), batch);
      let counts = none;
      let tails = log.tails;
      for (const [n, batch] of batches.entries()) {
        // Of those that are older than what the service remembers, it only says so.
        const answer = n < forgotten ? [there(batch.length)] : log.append(String(n), batch);
        const told = tally(answer, tails);
        counts = plus(counts, told.counts);
        tails = told.tails;
      }
      expect(counts).toEqual({ ...none, duplicates: ids.length });
    }),
  );
});
