/** One client of a stream's socket: what it may do, and what it follows. */
import { errors, type Refusal } from "../../schemas/errors.ts";
import type { StreamMessage } from "../../schemas/frames.ts";
import type { GroupFilter } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";
import { encodeText } from "../lib/bytes.ts";
import { type Filter, filterOf } from "../log/filter.ts";
import type { Following } from "../log/follow.ts";

/** What the Worker says of a client that it has let in. */
export interface Hello {
  readonly rights: readonly ("read" | "append")[];
  /** It wants records as frames. */
  readonly binary: boolean;
  /** It asked for this partition; otherwise it is here because the stream has no other. */
  readonly pinned: boolean;
  /** Key hashes `[from, to)` that belong to the partition. */
  readonly from: number;
  readonly to: number;
}

/** A place as it is kept: with the filter as the client wrote it. */
export type Subscription = Omit<Following, "filter"> & { readonly filter?: GroupFilter };

/** What lies in a socket's attachment. */
interface Kept {
  readonly hello: Hello;
  readonly subs: readonly Subscription[];
}

export class Client {
  readonly subs = new Map<number, Subscription>();
  /** The highest id that it has used. */
  top = -1;
  readonly #filters = new Map<number, Filter>();

  constructor(readonly hello: Hello) {}

  /** False where it would not fit the attachment. */
  add(sub: Subscription): boolean {
    // Characters that are not ASCII take up to three bytes each.
    if (encodeText(JSON.stringify([...this.subs.values(), sub])).length > limits.subscriptionBytesMax) return false;
    this.subs.set(sub.id, sub);
    this.top = Math.max(this.top, sub.id);
    return true;
  }

  filterOf({ id, filter }: Subscription): Filter | undefined {
    if (filter === undefined) return undefined;
    let known = this.#filters.get(id);
    if (known === undefined) {
      known = filterOf(filter);
      this.#filters.set(id, known);
    }
    return known;
  }

  /** Writes down where it stands: the object may sleep, or be moved, after every message. */
  keep(socket: WebSocket): void {
    socket.serializeAttachment({ hello: this.hello, subs: [...this.subs.values()] } satisfies Kept);
  }
}

export function clientOf({ hello, subs }: Kept): Client {
  const client = new Client(hello);
  for (const sub of subs) client.add(sub);
  return client;
}

export const say = (socket: WebSocket, message: StreamMessage) => socket.send(JSON.stringify(message));

export function sayError(socket: WebSocket, { code, detail, facts }: Refusal, id?: number, fatal = false): void {
  const { retryable, clean } = errors[code];
  const about = id === undefined ? {} : { id };
  say(socket, { type: "error", ...about, code, detail, retryable, clean, fatal, ...facts });
}
