/** Where a group pushes to, and how. */
import * as z from "zod";
import { mask } from "./credentials.ts";
import { text } from "./fields.ts";
import { defaults, limits } from "./limits.ts";
import { webUrl } from "./text.ts";

const count = (max: number) => z.number().int().min(1).max(max);
const ms = (min: number, max: number) => z.number().int().min(min).max(max);

const secretForm = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/;

function isSecret(text: string): boolean {
  const [, secret] = secretForm.exec(text) ?? [];
  if (secret === undefined) return false;
  const bytes = (secret.length / 4) * 3 - (/=*$/.exec(secret)?.[0].length ?? 0);
  return bytes >= limits.secretBytesMin && bytes <= limits.secretBytesMax;
}

/** As it is shown: a PUT that sends it back keeps the secret that begins so. */
const shownSecret = new RegExp(`^whsec_[A-Za-z0-9+/=]{0,4}${mask}$`);

/** A secret of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64, with its padding. */
export const webhookSecret = z.string().refine((value) => isSecret(value) || shownSecret.test(value), {
  message: `must be whsec_ and ${limits.secretBytesMin} to ${limits.secretBytesMax} random bytes in base64: make one with \`openssl rand -base64 32\``,
});

/** A header of the user's own: what stands at the end of a value gets lost on the way, and spaces there do. */
const headerValue = z
  .string()
  .max(limits.headerCharsMax)
  .regex(
    new RegExp(`^(?:[\\x21-\\x7e](?:[\\x20-\\x7e]*[\\x21-\\x7e])?|${mask})?$`),
    "must be printable ASCII, with no space first or last",
  );
/** What the sender says itself, or the connection. */
const ofTheSender =
  /^(host|user-agent|connection|keep-alive|proxy-connection|upgrade|expect|te|trailer|(content|ce|webhook|transfer|millrace)-.*)$/i;

export const pushTarget = z.strictObject({
  url: text(limits.urlBytesMax, webUrl)
    .meta({ format: "uri" })
    .describe(
      "Receiver. https, unless the deployment allows otherwise. What may be a key in it is shown as `…`; sent back so, it is kept.",
    ),
  format: z
    .enum(["binary", "structured", "batch"])
    .default("binary")
    .describe("CloudEvents mode. `batch` sends up to `batch.records` at a time; the others one by one."),
  secrets: z
    .array(webhookSecret)
    .max(limits.secretsMax)
    .default([])
    .describe(
      "Standard Webhooks secrets; every one signs, so that a new one can be added before the old one goes. Shown as `whsec_abcd…`; sent back so, it is kept.",
    ),
  headers: z
    .record(z.string().regex(/^[A-Za-z0-9-]{1,64}$/, "must be 1 to 64 letters, digits or -"), headerValue)
    .refine((value) => Object.keys(value).length <= limits.pushHeadersMax, `at most ${limits.pushHeadersMax} headers`)
    .refine((value) => !Object.keys(value).some((name) => ofTheSender.test(name)), {
      message:
        "host, user-agent, content-*, ce-*, webhook-*, transfer-*, millrace-* and those of the connection are set by the sender",
    })
    .refine(
      (value) => new Set(Object.keys(value).map((name) => name.toLowerCase())).size === Object.keys(value).length,
      {
        message: "a name stands twice, in other letters",
      },
    )
    .default({})
    .describe(
      "Sent with every request; for an authorization of the receiver's. Values are shown as `…`; sent back so, they are kept.",
    ),
  timeoutMs: ms(100, limits.pushTimeoutMsMax).default(defaults.pushTimeoutMs),
  concurrency: count(limits.pushConcurrencyMax)
    .default(defaults.pushConcurrency)
    .describe("Requests at a time and partition."),
  validate: z
    .boolean()
    .default(false)
    .describe("Ask the receiver first, by the handshake of CloudEvents' web hooks; push only where it agrees."),
  pauseAfterMs: ms(1_000, limits.pauseAfterMsMax)
    .default(defaults.pauseAfterMs)
    .describe("Pause the group after failures only for so long."),
});
export type PushTarget = z.infer<typeof pushTarget>;
