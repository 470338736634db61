/** Standard Webhooks, as a receiver verifies it. */
import { createHmac } from "node:crypto";
import type { Received } from "../frame/receiver.ts";

/** A secret by its number. */
export const secretOf = (number: number): string =>
  `whsec_${Buffer.alloc(24 + (number % 8), `secret ${number} of a receiver`).toString("base64")}`;

const toleranceSeconds = 300;

/** Why the request is not signed by exactly these secrets, if so. */
export function wronglySigned(request: Received, secrets: readonly string[]): string | undefined {
  const { headers, body } = request;
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  if (typeof id !== "string" || typeof timestamp !== "string") return "webhook-id or webhook-timestamp is missing";
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  if (!(age < toleranceSeconds)) return `webhook-timestamp is ${timestamp}, ${age} s away`;
  const signed = String(headers["webhook-signature"] ?? "")
    .split(" ")
    .filter((part) => part !== "")
    .sort();
  const wanted = secrets.map((secret) => signature(secret, id, timestamp, body)).sort();
  return signed.join(" ") === wanted.join(" ") ? undefined : `the signatures are ${signed}, and should be ${wanted}`;
}

function signature(secret: string, id: string, timestamp: string, body: Buffer): string {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  return `v1,${createHmac("sha256", key).update(content).digest("base64")}`;
}
