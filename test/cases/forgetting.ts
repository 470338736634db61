/** Forgetting without the shells: what a partition and a delivery do for it, one after the other. */
import type { Target } from "../../schemas/erasure.ts";
import { Erasures } from "../../src/archive/erasure.ts";
import { Rewriter } from "../../src/archive/rewrite.ts";
import type { Delivery } from "../../src/delivery/delivery.ts";
import { dropEmpty, forget } from "../../src/delivery/forget.ts";
import { Sought, Survivors } from "../../src/delivery/sought.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { headsIn } from "../../src/log/heads.ts";
import type { Log } from "../../src/log/log.ts";

let requests = 0;

/** Makes tombstones of a target's records below the tail, which it answers. */
export function eraseIn(log: Log, target: Target, now: number): number {
  const erasures = new Erasures(log);
  erasures.request(`r${requests++}`, target, now);
  for (;;) {
    const due = erasures.due(now);
    if (due === undefined) return log.span.tail;
    if (due.step === "groups") erasures.finish(due.erasure, now);
    else {
      const { erasure, segment } = due;
      const rewriter = new Rewriter(true, (...found) => erasures.fate(erasure, ...found));
      for (const head of headsIn(log.segments, segment.base, segment.next)) {
        rewriter.add({ ...head, body: log.segments.body(head.base) });
      }
      erasures.searched(erasure, segment, rewriter, [], now);
    }
  }
}

/** The delivery forgets them, as its object has it do so. */
export function forgetIn(delivery: Delivery, log: Log, target: Target, to: number, now: number): void {
  const sought = new Sought(target, to);
  const read = (offset: number, filter?: { key: string }) => {
    const terms = { from: { at: "offset", offset } as const, limit: 7, bytesMax: 300 };
    const page = log.read(filter === undefined ? terms : { ...terms, filter });
    if (page.ok) return page.value;
    const head = Number(page.refusal.facts?.head);
    return { from: offset, to: Math.max(head, offset + 1), pieces: [], upToDate: false };
  };
  for (let span = sought.wanted(delivery.state, []); span !== undefined; span = sought.wanted(delivery.state, [])) {
    const page = read(span[0]);
    sought.take(page.upToDate ? { ...page, to: Math.max(page.to, span[1]) } : page);
  }
  const others = { heritage: () => {}, attempts: () => {} };
  for (const lane of forget(delivery, { target, to, sought }, others, now).emptied) {
    for (const left = new Survivors(lane, sought, delivery.state); !dropEmpty(delivery, left); )
      left.take(read(left.from, left.filter));
  }
}

/** Everything that a database says, as text; bytes as Latin-1. */
export function textIn(sql: Sql): string {
  const tables = sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'");
  const rows = tables
    .filter(({ name }) => !/^(_cf_|sqlite_)/.test(name))
    .flatMap(({ name }) => sql.all<Record<string, unknown>>(`SELECT * FROM "${name}"`));
  return rows.flatMap((row) => Object.values(row).map(textOf)).join("\n");
}

/** Everything of records that a delivery has at hand, as text. */
export function textAtHand({ state }: Delivery): string {
  const lanes = [...state.lanes.byId.values()];
  const items = [...state.window.items.values(), ...lanes.flatMap(({ queue }) => queue)];
  const said = lanes.map(({ key, tries }) => `${key} ${JSON.stringify(tries)}`);
  const tried = items.map(({ key, tries }) => `${key} ${JSON.stringify(tries)}`);
  const left = JSON.stringify([state.leases.tried.rows(), [...state.leases.restored.values()]]);
  // Its part of a chunk keeps the whole of it in memory.
  const bytes = items.map(({ bytes }) => textOf(new Uint8Array(bytes.buffer)));
  return [...said, ...tried, ...bytes, left].join("\n");
}

const textOf = (value: unknown): string =>
  value instanceof Uint8Array ? Array.from(value, (byte) => String.fromCharCode(byte)).join("") : String(value);
