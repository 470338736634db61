/** Where a subscription of a partition's own socket begins. */
import type { Refusal } from "../../schemas/errors.ts";
import type { Subscribe } from "../../schemas/frames.ts";
import type { Log } from "../log/log.ts";
import { noPlace, positionOf, readFrom } from "../log/position.ts";
import type { Snapshot } from "../log/snapshot-store.ts";
import { type Client, say, wrongLog } from "./clients.ts";

/** Adds what a client asks for. Where its place cannot be told at once, it is `sought`, and the credits are held back. */
export function subscribe(socket: WebSocket, client: Client, message: Subscribe, log: Log): Refusal | undefined {
  const { id, credits, partition = log.spec.partition, filter } = message;
  if (partition !== log.spec.partition) {
    return { code: "partition-not-found", detail: `the socket is one of partition ${log.spec.partition}` };
  }
  const from = readFrom(String(message.from), Date.now());
  if (from === undefined) return { code: "invalid", detail: `from: ${noPlace(String(message.from))}` };
  if ("cursor" in from && from.cursor.logId !== log.spec.logId) return wrongLog;
  const position = positionOf(from, partition, false);
  // The newest records behind a filter are counted, which takes more than one turn.
  const counted = position.at === "last" && filter !== undefined;
  const start = counted ? undefined : log.place(position);
  if (start?.ok === false) return start.refusal;
  const found = start !== undefined && "offset" in start.value ? start.value.offset : undefined;
  const next = found ?? log.span.head;
  const account = found === undefined ? { credits: 0, sought: { position, credits } } : { credits };
  const place = { next, said: next, current: false, ...account };
  const refusal = client.add({ id, ...place, ...(filter === undefined ? {} : { filter }) });
  const snapshot = message.from === "snapshot" ? log.segments.snapshots.usable(log.span.head) : undefined;
  if (refusal === undefined && snapshot !== undefined) sayNew(socket, log, snapshot);
  return refusal;
}

/** Tells of a snapshot. */
export const sayNew = (socket: WebSocket, { spec }: Log, { offset, bytes }: Snapshot) =>
  say(socket, { type: "snapshot", partition: spec.partition, offset, bytes });
