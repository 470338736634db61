/** What every end of a socket minds. */
import type { Refusal } from "../../schemas/errors.ts";

/** A socket is worth no more than the ticket that it was opened with. */
export const ticketOver: Refusal = {
  code: "ticket-expired",
  detail: "the ticket of the socket has expired; connect again with a new one",
};
export const ticketOverCode = 4003;

/** True where a socket that was opened `until` then is over. */
export const isOver = (until: number | undefined, now: number): boolean => until !== undefined && until <= now;

/** A client that has gone meanwhile hears nothing, and takes nobody with it: false. */
export function post(socket: WebSocket, message: string | Uint8Array): boolean {
  try {
    socket.send(message);
    return true;
  } catch {
    // Its close is on its way to us.
    return false;
  }
}

/** The other half of a close: without it the other side would wait. Two codes only say that there was none. */
export function closeBack(socket: WebSocket, code: number, reason: string): void {
  if (code === 1005 || code === 1006) socket.close();
  else socket.close(code, reason);
}
