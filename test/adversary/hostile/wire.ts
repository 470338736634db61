/** Requests of a caller who means no good: every header is his own, and may come twice. */
import { Agent, type IncomingMessage, request } from "node:http";
import { type Answer, Lost } from "../frame/http.ts";

export interface Sent {
  readonly method: string;
  readonly path: string;
  /** In their order; the host and the length are added where they are missing. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: Buffer;
  /** The body comes in pieces of this size, and its length is not told. */
  readonly chunked?: number;
}

/** The service gives connections up by itself; a request that meets that would be lost for no fault. */
const agent = new Agent({ keepAlive: true, maxSockets: 256, timeout: 3000 });

export async function ask(origin: string, sent: Sent, silenceMs: number): Promise<Answer> {
  const answer = await open(origin, sent, silenceMs);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new Lost(`${sent.method} ${sent.path}: ${(error as Error).message}`);
  }
  const body = Buffer.concat(chunks);
  return { status: answer.statusCode as number, headers: answer.headers, body, json: jsonOf(body) };
}

function open(origin: string, sent: Sent, silenceMs: number): Promise<IncomingMessage> {
  const { method, path, body, chunked } = sent;
  const { host } = new URL(origin);
  const has = (name: string) => sent.headers.some(([one]) => one.toLowerCase() === name);
  const headers = [...(has("host") ? [] : [["host", host]]), ...sent.headers].flat();
  const bodied = body !== undefined || !["GET", "HEAD", "DELETE", "OPTIONS"].includes(method);
  if (bodied && chunked === undefined && !has("content-length")) {
    headers.push("content-length", String(body?.length ?? 0));
  }
  if (chunked !== undefined) headers.push("transfer-encoding", "chunked");
  return new Promise((done, fail) => {
    const lost = (why: string) => fail(new Lost(`${method} ${path.slice(0, 200)}: ${why}`));
    const asking = request(origin, { method, path, agent, headers, timeout: silenceMs });
    asking.on("response", done);
    asking.on("error", (error) => lost(error.message));
    asking.on("timeout", () => asking.destroy(new Error(`silent for ${silenceMs} ms`)));
    if (body !== undefined && chunked !== undefined) {
      for (let at = 0; at < body.length; at += chunked) asking.write(body.subarray(at, at + chunked));
      asking.end();
    } else asking.end(body);
  });
}

function jsonOf(body: Buffer) {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Whether a header may have it: bytes, and none of those that end a line. */
export const inHeader = (text: string): boolean =>
  [...text].every((char) => {
    const code = char.charCodeAt(0);
    return char.length === 1 && code <= 0xff && code !== 0x7f && (code >= 0x20 || code === 0x09);
  });
