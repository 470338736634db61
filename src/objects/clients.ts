/** One client of a stream's socket: what it may do, and what it follows. */
import type { ErrorCode, Refusal, Result } from "../../schemas/errors.ts";
import type { StreamMessage } from "../../schemas/frames.ts";
import type { GroupFilter } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";
import type { Message, Unfit } from "../intake/message.ts";
import { encodeText } from "../lib/bytes.ts";
import { type Filter, filterOf } from "../log/filter.ts";
import type { Following } from "../log/follow.ts";
import { type Account, newAccount, Owed, type Pool } from "./owed.ts";
import { errorOf, post, slowCode, slowReason, ticketOverCode } from "./socket.ts";

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
  /** Its ticket is over then, in ms since 1970, and the socket with it. */
  readonly until?: number;
  /** It says what it has read. A Worker that fans in does not: it holds what it has given credits for. */
  readonly confirms?: boolean;
  /** A record that costs more than its credits waits for more of them. */
  readonly exact?: boolean;
}

/** A place as it is kept: with the filter as the client wrote it. */
export type Subscription = Omit<Following, "filter"> & {
  readonly filter?: GroupFilter;
  /** What the next record costs, where the client was told that its credits do not go so far. */
  wants?: number;
};

/** True where its credits go as far as the next record. */
export const canTake = ({ credits, wants = 1 }: Subscription) => credits >= wants;

/** What lies in a socket's attachment. */
interface Kept {
  readonly hello: Hello;
  readonly subs: readonly Subscription[];
  readonly account?: Account;
  /** The highest id; left out by versions that took it from the subscriptions that were left. */
  readonly top?: number;
}

export class Client {
  readonly subs = new Map<number, Subscription>();
  /** The highest id that is written down. */
  #kept: number;
  readonly #filters = new Map<number, Filter>();

  /** What it owes, where it is one that confirms. */
  readonly owed: Owed | undefined;

  constructor(
    readonly hello: Hello,
    pool: Pool,
    account = newAccount(),
    /** The highest id that it has used. */
    public top = -1,
  ) {
    this.#kept = top;
    this.owed = hello.confirms ? new Owed(account, pool) : undefined;
  }

  /** Refused where it would not fit the attachment. */
  add(sub: Subscription): Refusal | undefined {
    if (this.subs.size >= limits.subscriptionsMax) {
      return { code: "too-many", detail: `a socket has at most ${limits.subscriptionsMax} subscriptions` };
    }
    if (encodeText(JSON.stringify([...this.subs.values(), sub])).length > limits.subscriptionBytesMax) {
      const detail = `the subscriptions of a socket have at most ${limits.subscriptionBytesMax} bytes of filters`;
      return { code: "too-many", detail };
    }
    this.subs.set(sub.id, sub);
    return undefined;
  }

  /** Tells it why a subscription is over. Nothing is shown. */
  end(socket: WebSocket, id: number, refusal: Refusal): 0 {
    this.subs.delete(id);
    sayError(socket, refusal, id);
    this.keep(socket);
    return 0;
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
    const { hello, top } = this;
    const account = this.owed === undefined ? {} : { account: this.owed.account };
    this.#kept = top;
    socket.serializeAttachment({ hello, subs: [...this.subs.values()], top, ...account } satisfies Kept);
  }

  /** False where it has used ids that are not written down. */
  get isKept(): boolean {
    return this.top === this.#kept;
  }
}

const keepMs = 500;

/**
 * Ids of appends, and of what was refused, are written down a moment later, and not with each message. An object does not fall
 * asleep while a timer runs.
 */
export class Keeping {
  readonly #due = new Map<WebSocket, Client>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  later(socket: WebSocket, client: Client): void {
    if (client.isKept) return;
    this.#due.set(socket, client);
    this.#timer ??= setTimeout(() => this.#keep(), keepMs);
  }

  #keep(): void {
    this.#timer = undefined;
    for (const [socket, client] of this.#due) if (!client.isKept) client.keep(socket);
    this.#due.clear();
  }
}

export function clientOf({ hello, subs, account, top }: Kept, pool: Pool): Client {
  const client = new Client(hello, pool, account, top);
  // They fitted when they were written.
  for (const sub of subs) {
    client.subs.set(sub.id, sub);
    client.top = Math.max(client.top, sub.id);
  }
  return client;
}

/** A message that is about a subscription, or an append. */
export type Order = Exclude<Message, { type: "confirm" }>;

/**
 * Takes one message of a client: does what it asks, or has it said why not, when its turn comes. Answers with what was no
 * message, or had no place where it came, and with what `refuse` says: the client has lost count, and is to be closed.
 */
export function understand(
  client: Client,
  read: Result<Message> | Unfit,
  obey: (message: Message) => Refusal | undefined,
  refuse: (id: number, refusal: Refusal) => Refusal | undefined,
): Refusal | undefined {
  if (!read.ok) {
    if (!("id" in read) || read.id === undefined) return read.refusal;
    return refuse(read.id, read.refusal);
  }
  const message = read.value;
  // It says something only where it was asked.
  if (message.type === "confirm") return client.owed?.confirm(message.nonce) ? obey(message) : undefined;
  const fault = faultOf(client, message);
  if (fault !== undefined) return fault;
  const refusal = denialOf(client, message) ?? obey(message);
  return refusal === undefined ? undefined : refuse(message.id, refusal);
}

/** Why a message has no place where it came, if it has none. */
function faultOf(client: Client, { type, id }: Order): Refusal | undefined {
  const opens = type === "subscribe" || type === "append";
  if (opens && id <= client.top) {
    return { code: "invalid", detail: `id ${id} is not above ${client.top}: each ${type} has a higher one` };
  }
  if (opens) client.top = id;
  // One that has ended meanwhile is no fault; one that never was is.
  return opens || id <= client.top ? undefined : { code: "invalid", detail: `there is no subscription ${id}` };
}

/** Why a client may not do what it asks, if so. */
function denialOf({ hello }: Client, { type }: Order): Refusal | undefined {
  if (type === "credit" || type === "unsubscribe") return undefined;
  if (hello.rights.includes(type === "append" ? "append" : "read")) return undefined;
  return { code: "forbidden", detail: `the ticket does not allow to ${type}` };
}

export const wrongLog: Refusal = {
  code: "wrong-log",
  detail: "the cursor belongs to a stream that was deleted; read this one from earliest",
};

/** Tells a client that does not keep to the protocol, or whose ticket is over, why, and closes it. */
export function expel(socket: WebSocket, refusal: Refusal): void {
  sayError(socket, refusal, undefined, true);
  socket.close(closeCodes[refusal.code] ?? 1008, refusal.detail.slice(0, 100));
}

const closeCodes: Partial<Record<ErrorCode, number>> = { "body-too-large": 1009, "ticket-expired": ticketOverCode };
/** A client that was asked what it has read, and does not say: what it is owed is bounded, and so is the wait. */
export function giveUp(socket: WebSocket): void {
  socket.close(slowCode, slowReason);
}

/** What it follows is to be looked for elsewhere, or anew. */
export const leave = (socket: WebSocket, why: string) => socket.close(4002, `${why}; connect again`);

export const say = (socket: WebSocket, message: StreamMessage) => post(socket, JSON.stringify(message));

export function sayError(socket: WebSocket, refusal: Refusal, id?: number, fatal = false): void {
  say(socket, { ...(id === undefined ? {} : { id }), ...errorOf(refusal, fatal) });
}
