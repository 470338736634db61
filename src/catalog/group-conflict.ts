/** Configurations of groups that cannot be. */
import { refuse } from "../../schemas/errors.ts";
import type { GroupConfig } from "../../schemas/group.ts";
import { readFrom } from "../log/position.ts";
import type { GroupRow } from "./group-store.ts";
import type { Stream } from "./stream.ts";

/** What of a configuration cannot be, whatever was before. */
export function contradiction(config: GroupConfig, stream: Stream, row: GroupRow | undefined) {
  const from = readFrom(String(config.start));
  if (from !== undefined && "cursor" in from && from.cursor.logId !== stream.logId) {
    return refuse("wrong-log", "body: start: the cursor belongs to another stream, or to one that was deleted", {
      path: "start",
    });
  }
  const offset = from !== undefined && "position" in from && from.position.at === "offset";
  if (offset && stream.map.length > 1 && row === undefined) {
    return refuse("invalid", "body: start: an offset belongs to one partition, and the stream has several; seek each", {
      path: "start",
    });
  }
  if (config.only !== null && config.order !== "key") {
    return refuse("invalid", "body: only: incident mode is for groups in order by key", { path: "only" });
  }
  return undefined;
}

/** What of a change cannot be done, and why. */
export function conflict(before: GroupConfig, after: GroupConfig) {
  if (after.order !== before.order) return refuse("conflict", "order is set at creation; create another group");
  if (after.durable !== before.durable) return refuse("conflict", "durable is set at creation; create another group");
  if (after.start !== before.start) {
    return refuse("conflict", "start is where a new group begins; move this one with …/seek");
  }
  return undefined;
}
