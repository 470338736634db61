/** A real service for a test file: the Worker on bare workerd, on a free port, with a folder of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Running, run } from "../../scripts/workerd.ts";

export const token = "test-token";

export interface Service extends Running {
  readonly data: string;
  /** Calls a path with the token, and gives the answer with its body read. */
  call(method: string, path: string, body?: BodyInit | object, headers?: Record<string, string>): Promise<Answer>;
  end(): Promise<void>;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service answers.
  json: any;
}

export async function service(
  data = mkdtempSync(join(tmpdir(), "millrace-")),
  options: { privateNetwork?: boolean; archive?: Record<string, string> } = {},
): Promise<Service> {
  const running = await run({ data, token, ...options });
  return {
    ...running,
    data,
    call: (method, path, body, headers) => call(running.url, method, path, body, headers),
    async end() {
      // Its data go with it: there is nothing to end in order, and sockets that are open would be waited for.
      await running.stop("SIGKILL");
      rmSync(data, { recursive: true, force: true });
    },
  };
}

export async function call(
  url: string,
  method: string,
  path: string,
  body?: BodyInit | object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const plain = body !== undefined && Object.getPrototypeOf(body) === Object.prototype;
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(plain ? { "content-type": "application/json" } : {}), ...headers },
    body: plain ? JSON.stringify(body) : (body as BodyInit | undefined),
  });
  const text = await response.text();
  const isJson =
    text !== "" &&
    /json/.test(response.headers.get("content-type") ?? "") &&
    !/ndjson/.test(response.headers.get("content-type") ?? "");
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
}
