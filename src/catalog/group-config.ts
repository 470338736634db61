/** A group's configuration after a change, and those that cannot be. */
import { unmasked } from "../../schemas/credentials.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { type GroupConfig, groupConfig, groupDefaults } from "../../schemas/group.ts";
import type { Members } from "../../schemas/patch.ts";
import { readFrom } from "../log/position.ts";
import type { GroupRow } from "./group-store.ts";
import type { Stream } from "./stream.ts";
import { type Change, fieldsOf, type How } from "./writing.ts";

/** What a group is after a change; `row`: what it was. */
export function configAfter(
  change: Change<GroupConfig>,
  how: How,
  stream: Stream,
  row: GroupRow | undefined,
): Result<GroupConfig> {
  const before: GroupConfig = row === undefined ? groupDefaults : JSON.parse(row.config);
  const named = how === "patch" ? withStoredNames(change as Members, before) : change;
  const fields = fieldsOf(groupConfig, named, how, before, groupDefaults);
  if (!fields.ok) return fields;
  // Masks stand for what is stored, wherever they come from.
  const push = fields.value.push ? unmasked(fields.value.push, before.push) : undefined;
  if (push?.ok === false) return push;
  const after: GroupConfig = { ...before, ...fields.value, ...(push === undefined ? {} : { push: push.value }) };
  const problem = contradiction(after, stream, row) ?? (row === undefined ? undefined : conflict(before, after));
  return problem ?? ok(after);
}

/** Names of headers have no case: a patch means the one that is there, however it is written. */
function withStoredNames(patch: Members, before: GroupConfig): Members {
  const push = patch.push as { readonly headers?: Members | null } | null | undefined;
  if (!push?.headers || before.push === null) return patch;
  const stored = new Map(Object.keys(before.push.headers).map((name) => [name.toLowerCase(), name]));
  const headers = Object.entries(push.headers).map(([name, value]) => [stored.get(name.toLowerCase()) ?? name, value]);
  return { ...patch, push: { ...push, headers: Object.fromEntries(headers) } };
}

/** What of a configuration cannot be, whatever was before. */
function contradiction(config: GroupConfig, stream: Stream, row: GroupRow | undefined) {
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
function conflict(before: GroupConfig, after: GroupConfig) {
  if (after.order !== before.order) return refuse("conflict", "order is set at creation; create another group");
  if (after.durable !== before.durable) return refuse("conflict", "durable is set at creation; create another group");
  if (after.start !== before.start) {
    return refuse("conflict", "start is where a new group begins; move this one with …/seek");
  }
  return undefined;
}
