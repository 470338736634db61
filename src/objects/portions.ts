/** A portion of the log goes out, and its subscription moves behind it. */
import type { LargeMessage } from "../../schemas/frames.ts";
import { writeCursor } from "../log/cursor.ts";
import { behind } from "../log/follow.ts";
import type { Log } from "../log/log.ts";
import { type Client, type Subscription, say } from "./clients.ts";
import type { Made, Shown } from "./shown.ts";
import { post } from "./socket.ts";

/** Whose subscription it is. */
export interface Following {
  readonly socket: WebSocket;
  readonly client: Client;
  readonly sub: Subscription;
}

/** Bytes sent. */
export function sendPortion(
  log: Log | undefined,
  { socket, client, sub }: Following,
  made: Made,
  shown: Shown,
): number {
  if (log === undefined) return 0;
  const { partition, logId } = log.spec;
  const { portion } = made;
  const cursor = (next: number) => writeCursor({ logId, offsets: new Map([[partition, next]]) });
  if (client.hello.exact && portion.cost > sub.credits) {
    sub.wants = portion.cost;
    post(socket, JSON.stringify({ type: "large", id: sub.id, cost: portion.cost } satisfies LargeMessage));
    client.keep(socket);
    return 0;
  }
  delete sub.wants;
  const place = behind(portion.holes, sub.next);
  sub.next = portion.next;
  sub.credits -= portion.cost;
  if (portion.holes.length > 0) {
    const lost = portion.holes.map((hole) => ({ partition, ...hole }));
    say(socket, { type: "lost", id: sub.id, cursor: cursor(place), lost });
    client.keep(socket);
  }
  if (portion.items.length === 0) return 0;
  sub.current = portion.upToDate;
  sub.said = sub.next;
  const sent = shown.send(socket, client, sub, made, () => cursor(sub.next), partition);
  client.keep(socket);
  return sent;
}
