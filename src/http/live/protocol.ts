import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { protocolsOf } from "../auth.ts";
import { problem } from "../problem.ts";

/**
 * The answer to a request that is none of a WebSocket. Asked last: nobody is told why their socket does not open, but whoever
 * sends the same request without it learns here that nothing else is wrong, or has learnt what is.
 */
export function noUpgrade({ headers }: Request): Response | undefined {
  if (headers.get("upgrade")?.toLowerCase() === "websocket") return undefined;
  return problem({ code: "upgrade-required", detail: "open this route with a WebSocket" }, { upgrade: "websocket" });
}

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
