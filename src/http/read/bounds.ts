/** Where a read ends before the tail: `to`, the first place that it does not show, as it lies when the read comes. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { type From, noPlace, readFrom } from "../../log/position.ts";
import type { Position } from "../../log/read.ts";

/** What `to` says. */
export function toOf(text: string): Result<From> {
  const to = readFrom(text, Date.now());
  const path = "to";
  if (to === undefined) return refuse("invalid", `query: to: ${noPlace(text)}`, { path });
  if ("cursor" in to || ["offset", "time", "latest"].includes(to.position.at)) return ok(to);
  return refuse("invalid", `query: to: '${text}' is no end; name an offset, a time, a cursor or latest`, { path });
}

/** The first offset of a partition that is not shown. Of one that a cursor does not name, and which came after it, nothing is. */
export async function boundOf(
  to: From,
  partition: number,
  locate: (position: Position) => Promise<Result<number>>,
): Promise<Result<number>> {
  if ("cursor" in to) return ok(to.cursor.offsets.get(partition) ?? 0);
  return to.position.at === "offset" ? ok(to.position.offset) : locate(to.position);
}
