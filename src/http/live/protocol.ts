import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { protocolsOf } from "../auth.ts";

/** The first subprotocol of a route's that the client offers; undefined where it offers none at all. */
export function protocolOf(headers: Headers, protocols: readonly string[]): Result<string | undefined> {
  if (!headers.has("sec-websocket-protocol")) return ok(undefined);
  const known = protocolsOf(headers).find((one) => protocols.includes(one));
  if (known !== undefined) return ok(known);
  return refuse("invalid", `none of the subprotocols is known; offer ${protocols.join(" or ")}`);
}

/** The answer that hands a socket over. A browser closes one whose server takes none of its subprotocols. */
export const upgraded = (webSocket: WebSocket, protocol: string | undefined): Response =>
  new Response(null, {
    status: 101,
    webSocket,
    ...(protocol === undefined ? {} : { headers: { "sec-websocket-protocol": protocol } }),
  });
