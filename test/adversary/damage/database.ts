/** The databases of partitions, while nobody has them open. What tables they have is written in the document on storage. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Column, SegmentColumn } from "./plan.ts";
import type { Range } from "./segment-form.ts";

export interface Row extends Range {
  readonly table: string;
  /** Number of its segment, where the row is a fingerprint's. */
  readonly n?: number;
}

export class PartitionDatabase {
  private constructor(readonly sql: DatabaseSync) {}

  /** By the id of the log, which `spec` names; undefined where there is none. */
  static open(folder: string, logId: string, partition: number): PartitionDatabase | undefined {
    for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (!path.endsWith(".sqlite")) continue;
      const sql = new DatabaseSync(join(folder, path));
      const spec = specOf(sql);
      if (spec?.logId === logId && spec.partition === partition) return new PartitionDatabase(sql);
      sql.close();
    }
    return undefined;
  }

  close(): void {
    this.sql.close();
  }

  /** Every chunk that lies here, by offset. */
  rows(): Row[] {
    const tables = this.sql.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return tables
      .map(({ name }) => String(name))
      .filter((name) => /^chunk(_\d+)?$/.test(name))
      .flatMap((table) =>
        this.#all(`SELECT base, next FROM ${table}`).map(({ base, next }) => ({
          table,
          from: Number(base),
          to: Number(next),
        })),
      )
      .sort((a, b) => a.from - b.from);
  }

  /** What was struck may be any number. */
  #all(question: string): Record<string, unknown>[] {
    const asked = this.sql.prepare(question);
    asked.setReadBigInts(true);
    return asked.all();
  }

  /** Every sealed segment, by offset; `prints`: their fingerprints. */
  segments(prints = false): Row[] {
    const rows = this.#all("SELECT base, next, n FROM segment ORDER BY base");
    return rows.map(({ base, next, n }) => ({
      from: Number(base),
      to: Number(next),
      ...(prints ? { table: "segment_print", n: Number(n) } : { table: "segment" }),
    }));
  }

  /** Undefined where there is no such row. */
  find({ table, from, n }: Row, column: Column | SegmentColumn): bigint | Buffer | undefined {
    const question = this.sql.prepare(
      `SELECT ${column} AS value FROM ${table} WHERE ${n === undefined ? "base" : "n"} = ?`,
    );
    question.setReadBigInts(true);
    const value = (question.get(n ?? from) as { value: bigint | Uint8Array } | undefined)?.value;
    return value === undefined || typeof value === "bigint" ? value : Buffer.from(value);
  }

  get(row: Row, column: Column): bigint | Buffer {
    const value = this.find(row, column) as bigint | Uint8Array;
    return typeof value === "bigint" ? value : Buffer.from(value);
  }

  /** False where that would be another row's place. */
  set({ table, from, n }: Row, column: Column | SegmentColumn, value: bigint | Buffer): boolean {
    try {
      const where = n === undefined ? "base" : "n";
      this.sql.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${where} = ?`).run(value, n ?? from);
      return true;
    } catch (error) {
      if (/UNIQUE/.test((error as Error).message)) return false;
      throw error;
    }
  }

  remove({ table, from }: Row): void {
    this.sql.prepare(`DELETE FROM ${table} WHERE base = ?`).run(from);
  }
}

function specOf(sql: DatabaseSync): { logId?: unknown; partition?: unknown } | undefined {
  try {
    const row = sql.prepare("SELECT value FROM meta WHERE name = 'spec'").get();
    return row && JSON.parse(String(row.value));
  } catch {
    return undefined; // It is another object's.
  }
}
