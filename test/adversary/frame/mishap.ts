/** What a store that is not well does to requests: it refuses, breaks off, waits, and does not see what it has. */
import type { ServerResponse } from "node:http";
import { sleep } from "./time.ts";

export type Operation = "read" | "write" | "delete" | "list";

export type Mishap =
  /** An error of the store's; nothing was done. */
  | { readonly kind: "refuse"; readonly status: number }
  /** The connection is reset, before anything was done or when all of it was. */
  | { readonly kind: "reset"; readonly done: boolean }
  /** No answer, until the store is well again; then the connection is reset, and nothing was done. */
  | { readonly kind: "hang" }
  | { readonly kind: "late"; readonly ms: number }
  /** Of the body of the answer only a share arrives. */
  | { readonly kind: "cut"; readonly share: number }
  /** The body has so many bytes less than were asked for, and its length says so. */
  | { readonly kind: "short"; readonly bytes: number }
  /** 404 for what is there. Written and deleted is as always. */
  | { readonly kind: "blind" }
  /** Of several objects only the first half is deleted, and the answer says so. */
  | { readonly kind: "partly" };

/** A mishap for a request, if there is one for it. */
export type Spoiler = (operation: Operation, key: string) => Mishap | undefined;

export interface StoreAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
}

export const error = (status: number, code: string): StoreAnswer => ({
  status,
  headers: { "content-type": "application/xml" },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code></Error>`,
});

const codes: Readonly<Record<number, string>> = { 500: "InternalError", 503: "SlowDown", 429: "TooManyRequests" };

/** A request that is to come to grief. */
export interface Spoilt {
  readonly answer: ServerResponse;
  /** Does what was asked. */
  act(): StoreAnswer;
  send(told: StoreAnswer): void;
  /** Kept when the store is well again. */
  readonly well: Promise<void>;
}

export async function spoil(mishap: Mishap, { answer, act, send, well }: Spoilt): Promise<void> {
  switch (mishap.kind) {
    case "refuse":
      send(error(mishap.status, codes[mishap.status] ?? "InternalError"));
      return;
    case "blind":
      send(error(404, "NoSuchKey"));
      return;
    case "reset":
      if (mishap.done) act();
      answer.destroy();
      return;
    case "hang":
      await well;
      answer.destroy();
      return;
    case "late":
      await Promise.race([sleep(mishap.ms), well]);
      send(act());
      return;
    case "partly":
      send(act());
      return;
    case "cut":
      cut(act(), mishap.share, answer, send);
      return;
    case "short":
      send(shorter(act(), mishap.bytes));
  }
}

/** What is no object, or has no body, arrives as it is. */
const isObject = ({ status, headers, body }: StoreAnswer) =>
  status < 300 && headers?.["accept-ranges"] !== undefined && body !== undefined && body.length > 0;

function cut(told: StoreAnswer, share: number, answer: ServerResponse, send: Spoilt["send"]): void {
  if (!isObject(told)) {
    send(told);
    return;
  }
  const body = Buffer.from(told.body ?? "");
  answer.writeHead(told.status, { "content-length": String(body.length), ...told.headers });
  answer.write(body.subarray(0, Math.floor(body.length * share)), () => answer.destroy());
}

function shorter(told: StoreAnswer, bytes: number): StoreAnswer {
  if (!isObject(told)) return told;
  const body = Buffer.from(told.body ?? "");
  return { ...told, body: body.subarray(0, Math.max(0, body.length - bytes)) };
}
