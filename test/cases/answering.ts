/** A client whose service answers as it is told, and what it was asked. */
import { gunzipSync } from "node:zlib";
import { Millrace, type MillraceOptions } from "../../src/client/index.ts";
import { decodeText } from "../../src/lib/bytes.ts";
import { receiveFrames } from "../../src/log/frame.ts";
import { decodeFrame } from "../../src/log/record.ts";

export interface Asked {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array;
}

/** A client, and what its service was asked. What is answered is an answer, or why there is none. */
export function clientOf(
  answer: (asked: Asked) => Response | Error | Promise<Response>,
  options: MillraceOptions = {},
  wrap = (fetch: NonNullable<MillraceOptions["fetch"]>) => fetch,
) {
  const asked: Asked[] = [];
  const fetch = async (url: string, { headers, body, signal }: RequestInit = {}) => {
    const one = { url, headers: headers as Record<string, string>, body: body as string };
    asked.push(one);
    signal?.throwIfAborted();
    const given = answer(one);
    if (given instanceof Error) throw given;
    return Promise.race([
      given,
      new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
    ]);
  };
  const client = new Millrace({
    url: "http://localhost",
    token: "t",
    retry: { initialMs: 1 },
    fetch: wrap(fetch),
    ...options,
  });
  return { asked, client, stream: client.stream("s") };
}

export const appended = () => Response.json({ verdicts: [{ verdict: "appended", partition: 0, offset: 7 }] });
export const problem = (status: number, code: string, facts = {}) =>
  Response.json({ code, detail: code, retryable: false, clean: true, ...facts }, { status });

/** The records of a packed body: their data, and how many bytes it has unpacked. */
export function unpacked({ headers, body }: Asked): { data: unknown[]; bytes: number } {
  const bytes = new Uint8Array(headers["content-encoding"] === "gzip" ? gunzipSync(body) : (body as Uint8Array));
  const frames = receiveFrames(bytes);
  if (!frames.ok) throw new Error(frames.refusal.detail);
  const data: unknown[] = [];
  for (const frame of frames.value) decodeFrame(frame, (record) => data.push(JSON.parse(decodeText(record.data))));
  return { data, bytes: bytes.length };
}
export const taken = (asked: Asked, base: number) =>
  Response.json({ runs: [{ verdict: "appended", partition: 0, offset: base, count: unpacked(asked).data.length }] });
