/** The tables of a version that had a row for each lane, and for each dead letter. */
import type { Sql } from "../lib/sql.ts";
import type { LaneRow, LetterRow } from "./store.ts";

export class OldStore {
  /** Undefined where there are no such tables. */
  static open(sql: Sql): OldStore | undefined {
    const found = sql.all("SELECT 1 FROM sqlite_master WHERE name = 'progress'").length > 0;
    return found ? new OldStore(sql) : undefined;
  }

  private constructor(readonly sql: Sql) {}

  progress(): { floor: number; era: number; done: Uint8Array } | undefined {
    return this.sql.all<{ floor: number; era: number; done: Uint8Array }>(
      "SELECT floor, era, done FROM progress WHERE id = 0",
    )[0];
  }

  lanes(): LaneRow[] {
    return this.sql.all<LaneRow>(
      "SELECT id, kind, key, start, state, attempts, due, tries, redriven FROM lane ORDER BY id",
    );
  }

  *letters(): Generator<LetterRow> {
    for (let after = -1; ; ) {
      const [letter] = this.sql.all<LetterRow>(
        `SELECT offset, timestamp, key, died, attempts, reason, tries, state, checked, forward, body FROM letter
          WHERE offset > ? ORDER BY offset LIMIT 1`,
        after,
      );
      if (letter === undefined) return;
      yield letter;
      after = letter.offset;
    }
  }

  drop(): void {
    this.sql.run("DROP TABLE progress");
    this.sql.run("DROP TABLE lane");
    this.sql.run("DROP TABLE letter");
  }
}
