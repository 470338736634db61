/** Where the subscriptions that this Worker fans in go. */
import type { Refusal } from "../../../schemas/errors.ts";
import type { StreamMessage } from "../../../schemas/frames.ts";
import type { NewSnapshot } from "./news.ts";

/** Records of a subscription, as the partition has sent them: a binary message. */
export interface Part {
  readonly message: Uint8Array;
  readonly partition: number;
  readonly cost: number;
  readonly upToDate: boolean;
  /** Where to go on after them; and after those before an offset. */
  readonly cursor: string;
  cursorAt(offset: number): string;
}

type Lost = Extract<StreamMessage, { type: "lost" }>["lost"];

/** Where it all goes. */
export interface Sink {
  /** Bytes that may be handed on now, and that may be held until then. */
  readonly room: number;
  readonly heldMax: number;
  /** So many bytes more, or fewer, are held, or on their way, to be handed on. */
  promise?(bytes: number): void;
  records(id: number, part: Part): void;
  heartbeat(id: number, cursor: string, upToDate: boolean): void;
  lost(id: number, lost: Lost, cursor: string): void;
  /** Of a partition, not of a subscription: there may be several on it. */
  snapshot(snapshot: NewSnapshot): void;
  /** The partition that was asked for was split, and is read. */
  end(id: number, cursor: string): void;
  /** The subscription is over. */
  refused(id: number, refusal: Refusal): void;
  /** Everything is over. */
  failed(refusal: Refusal): void;
}
