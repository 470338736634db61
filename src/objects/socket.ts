/** What every end of a socket minds. */
import { errors, type Refusal } from "../../schemas/errors.ts";
import type { Owed } from "./owed.ts";

/** A socket is worth no more than the ticket that it was opened with. */
export const ticketOver: Refusal = {
  code: "ticket-expired",
  detail: "the ticket of the socket has expired; connect again with a new one",
};
export const ticketOverCode = 4003;
/** By which a member closes that has said all that it has done: what it was sent besides goes back as if nobody had had it. */
export const doneCode = 4005;

/** True where a socket that was opened `until` then is over. */
export const isOver = (until: number | undefined, now: number): boolean => until !== undefined && until <= now;

/** Whether a close says nothing of what its member had at hand: no attempt is counted. */
export const isSpared = (code: number | undefined, until: number | undefined): boolean =>
  code === doneCode || (code === ticketOverCode && isOver(until, Date.now()));

/** A refusal as every socket tells it. `fatal`: the socket is closed. */
export function errorOf({ code, detail, facts }: Refusal, fatal: boolean) {
  const { retryable, clean } = errors[code];
  return { type: "error" as const, code, detail, retryable, clean, fatal, ...facts };
}

/** Clients that are counted: what they owe, and what is to be done when they were asked. */
const counted = new WeakMap<WebSocket, { readonly owed: Owed; readonly asked: () => void }>();

/** From here on everything that the socket is sent counts; `asked` is called when the client is asked what it has read. */
export function count(socket: WebSocket, owed: Owed | undefined, asked: () => void = () => {}): void {
  if (owed !== undefined) counted.set(socket, { owed, asked });
}

/** Sends, and asks what was read where it is time to. Throws where the client has gone. `bytes` where the caller knows them. */
export function transmit(socket: WebSocket, message: string | Uint8Array, bytes = message.length): void {
  socket.send(message);
  const one = counted.get(socket);
  if (one === undefined) return;
  one.owed.sent(bytes);
  if (one.owed.due) ask(socket, one);
}

/** A client that has gone meanwhile hears nothing, and takes nobody with it: false. */
export function post(socket: WebSocket, message: string | Uint8Array, bytes = message.length): boolean {
  try {
    transmit(socket, message, bytes);
    return true;
  } catch {
    // Its close is on its way to us.
    return false;
  }
}

/** Bytes that a socket may be sent now; where there is no room, it is asked. */
export function roomOf(socket: WebSocket): number {
  const one = counted.get(socket);
  if (one === undefined) return Number.POSITIVE_INFINITY;
  const { room } = one.owed;
  if (room <= 0 && one.owed.due) {
    try {
      ask(socket, one);
    } catch {
      // Its close is on its way to us.
    }
  }
  return room;
}

function ask(socket: WebSocket, { owed, asked }: { readonly owed: Owed; readonly asked: () => void }): void {
  const nonce = crypto.randomUUID();
  const message = JSON.stringify({ type: "confirm", nonce });
  owed.sent(message.length);
  owed.ask(nonce, Date.now());
  socket.send(message);
  asked();
}

/** A client that does not answer what it is asked, while there is more for it. */
export const slowCode = 4004;
export const slowReason = "what was sent was not read: send back each 'confirm' as it comes";

/** The other half of a close: without it the other side would wait. Two codes only say that there was none. */
export function closeBack(socket: WebSocket, code: number, reason: string): void {
  if (code === 1005 || code === 1006) socket.close();
  else socket.close(code, reason);
}
