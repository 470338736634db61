/** Bytes over a connection, and the answers that came. */
import { connect, type Socket } from "node:net";
import type { Json } from "../frame/http.ts";

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly json: Json;
}

export interface RawReply {
  readonly answers: readonly RawAnswer[];
  /** The service has ended the connection. */
  readonly ended: boolean;
}

export function dial(origin: string): Socket {
  const { hostname, port } = new URL(origin);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true });
  socket.on("error", () => {});
  return socket;
}

/** Sends, and listens until the service ends the connection, or is silent for a while. */
export async function exchange(origin: string, bytes: Buffer, halfClose: boolean, quietMs: number): Promise<RawReply> {
  const socket = dial(origin);
  const chunks: Buffer[] = [];
  const ended = await new Promise<boolean>((done) => {
    socket.setTimeout(quietMs, () => done(false));
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => done(true));
    socket.on("close", () => done(true));
    socket.write(bytes, () => halfClose && socket.end());
  });
  socket.destroy();
  return { answers: answersIn(Buffer.concat(chunks)), ended };
}

/** Those that are whole, and what is there of the last one. */
function answersIn(bytes: Buffer): RawAnswer[] {
  const found: RawAnswer[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) break;
    const [first = "", ...lines] = rest.subarray(0, end).toString("latin1").split("\r\n");
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
      }),
    );
    const status = Number(first.split(" ")[1] ?? "0");
    rest = rest.subarray(end + 4);
    const length = headers.get("content-length");
    const size = length !== undefined ? Number(length) : headers.has("transfer-encoding") ? rest.length : 0;
    const body = rest.subarray(0, size);
    rest = rest.subarray(size);
    found.push({ status, headers, body, json: jsonOf(body) });
  }
  return found;
}

function jsonOf(body: Buffer): Json {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
