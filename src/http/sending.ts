/**
 * Bodies of answers that are not small: they go as the client takes them, and count meanwhile with what others have yet to take. Every
 * body passes here, or counts by itself: a read, a receive, a stream of events.
 */
import { encodeText } from "../lib/bytes.ts";
import { behind } from "../platform/behind.ts";
import type { Hold } from "./budget.ts";
import { counted, smallBytes, Untaken } from "./untaken.ts";

/** A client that takes nothing for so long is left. */
export const stalledMs = 30_000;
const pieceBytes = 262_144;
const sharedPieceBytes = 65_536;
/** UTF-8 of a character of a text, at most. */
const charBytesMax = 3;

export type Later = (work: Promise<unknown>) => void;

interface Waiting {
  /** In bytes, where that is known. */
  readonly length?: number | undefined;
  /** Ends what makes it. */
  readonly drop: () => void;
}

/** Bodies that wait for their client. */
const waiting = new WeakMap<ReadableStream, Waiting>();

/** A body that holds something until it is taken, or given up. */
export function heldStream<S extends ReadableStream>(
  body: S,
  length?: number,
  drop: () => void = () => body.cancel().catch(() => {}),
): S {
  waiting.set(body, { length, drop });
  return body;
}

/** The answer to whoever asks for the head alone, and takes no body: it holds nothing any more. */
export function headOf(answer: Response): Response {
  const { body, status, headers } = answer;
  const held = body === null ? undefined : waiting.get(body);
  if (held === undefined) return answer;
  held.drop();
  const head = new Response(null, { status, headers });
  if (held.length !== undefined) head.headers.set("content-length", String(held.length));
  return head;
}

/** A body that was made whole. */
export function countedBody(made: string | Uint8Array, later: Later = behind): BodyInit {
  if (typeof made === "string" && made.length * charBytesMax <= smallBytes) return made;
  const bytes = typeof made === "string" ? encodeText(made) : made;
  return counted(bytes.length) === 0 ? (bytes as BodyInit) : countedAs(bytes.length, bytes, later);
}

export function countedAs(held: number, bytes: Uint8Array, later: Later): ReadableStream {
  const untaken = new Untaken();
  untaken.holds(held);
  return heldBody(bytes, { touch: () => untaken.took(), release: () => untaken.end() }, later);
}

/** Bytes that are there anyway, for whoever asks: what a client that does not read holds of them is next to nothing. */
export const sharedBody = (bytes: Uint8Array): ReadableStream =>
  heldBody(bytes, { touch: () => {}, release: () => {} }, behind, sharedPieceBytes);

/** Bytes that go as the client takes them; what they hold is given back when they have gone. */
export function heldBody(bytes: Uint8Array, hold: Holding, later: Later, piece = pieceBytes): ReadableStream {
  const { readable, writable } = new FixedLengthStream(bytes.length);
  later(send(bytes, writable.getWriter(), hold, piece));
  return heldStream(readable, bytes.length);
}

/** A stream from elsewhere, fetched as the client takes it, cut off where that has stopped and others have little room. */
export function passedOn(body: ReadableStream<Uint8Array>, untaken: Untaken, length?: number): ReadableStream {
  const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const [reader, writer] = [body.getReader(), writable.getWriter()];
  // It sees that it did not get everything.
  const cut = (why: unknown) => {
    untaken.end();
    reader.cancel(why).catch(() => {});
    writer.abort(why).catch(() => {});
  };
  untaken.leave = () => cut(new Error("the client takes nothing"));
  behind(pass(reader, writer, untaken, cut));
  return heldStream(readable, length, () => cut(new Error("the head was enough")));
}

async function pass(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  untaken: Untaken,
  cut: (why: unknown) => void,
): Promise<void> {
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      await writer.write(part.value);
      untaken.took();
    }
    await writer.close();
  } catch (error) {
    cut(error);
  } finally {
    untaken.end();
  }
}

type Holding = Pick<Hold, "touch" | "release">;

async function send(
  bytes: Uint8Array,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  hold: Holding,
  piece: number,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const taken = (work: Promise<unknown>) =>
    new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("the client takes nothing")), stalledMs);
      work.then(resolve, reject);
    }).finally(() => clearTimeout(timer));
  try {
    for (let at = 0; at < bytes.length; at += piece) {
      await taken(writer.write(bytes.subarray(at, at + piece)));
      hold.touch(Date.now());
    }
    await taken(writer.close());
  } catch (error) {
    // It has gone, or is to be cut off: it sees that it did not get everything.
    writer.abort(error).catch(() => {});
  } finally {
    hold.release();
  }
}
