/** What lies in the databases of a service's objects, read past it: every table, whatever it is. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export type Kind = "partition" | "delivery" | "catalog";

export interface Table {
  readonly kind: Kind;
  /** A segment's table is `chunk`; a row of `meta` is `meta:` and its name, without what follows a colon. */
  readonly name: string;
  /** All its values, as text; bytes as latin1. */
  readonly text: string;
}

const textOf = (value: unknown): string =>
  value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value);

function* rowsOf(path: string): Generator<{ table: string; row: Record<string, unknown> }> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-copy-"));
  try {
    for (const suffix of ["", "-wal"]) {
      try {
        copyFileSync(path + suffix, join(folder, `db${suffix}`));
      } catch {
        // There is none.
      }
    }
    const db = new DatabaseSync(join(folder, "db"));
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as { name: string }[];
    for (const { name } of tables.filter(({ name }) => !/^(_cf_|sqlite_)/.test(name))) {
      for (const row of db.prepare(`SELECT * FROM "${name}"`).all()) yield { table: name, row };
      yield { table: name, row: {} };
    }
    db.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Every table of every object; those of one kind and name together. */
export function tablesOf(data: string): Table[] {
  const found = new Map<string, { kind: Kind; name: string; text: string }>();
  const folder = join(data, "objects");
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const kind = /millrace-(Partition|Delivery|Catalog)[\\/].*\.sqlite$/.exec(file)?.[1].toLowerCase() as
      | Kind
      | undefined;
    if (kind === undefined || file.includes("metadata.sqlite")) continue;
    for (const { table, row } of rowsOf(join(folder, file))) {
      const isMeta = table === "meta" && row.name !== undefined;
      const name = isMeta ? `meta:${String(row.name).split(":")[0]}` : table.replace(/^chunk_\d+$/, "chunk");
      const text = Object.values(row).map(textOf).join(" ");
      const one = found.get(`${kind} ${name}`);
      found.set(`${kind} ${name}`, { kind, name, text: `${one?.text ?? ""} ${text}` });
    }
  }
  return [...found.values()];
}
