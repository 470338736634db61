/** What every end of a socket minds. */

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
