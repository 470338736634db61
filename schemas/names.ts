import * as z from "zod";
import { limits } from "./limits.ts";

/** First segments that other protocols' doors use. */
export const reservedNamespaces = ["stream", "streams", "basins", "access-tokens", "locations", "metrics", "config"];

const pattern = new RegExp(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,${limits.nameCharsMax - 2}}[A-Za-z0-9])?$`);
const rule = `1 to ${limits.nameCharsMax} letters, digits, '.', '_' or '-', with a letter or digit first and last`;

/** A stream's name. */
export const streamName = z.string().regex(pattern, `must be ${rule}`).describe(rule);

/** A namespace's name: as a stream's, but none of the reserved words. */
export const namespaceName = streamName.refine((name) => !reservedNamespaces.includes(name), {
  message: `is reserved: ${reservedNamespaces.join(", ")}`,
});
