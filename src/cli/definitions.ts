/** How streams and groups are made and changed, so that of two who do it at once neither undoes the other's work. */
import type { Call } from "../client/http.ts";
import { type Group, MillraceError, type Stream } from "../client/index.ts";

/** Of both. */
const infoShape = { stream: "", config: {}, createdAt: "" };

type Defined = Pick<Stream | Group, "http" | "path">;

/** Makes it; undefined where it is there, which stays as it is. What may have made it is not repeated: it would find its own. */
export async function make<Info>({ http, path }: Defined, config: object): Promise<Info | undefined> {
  try {
    return await http.json<Info>("PUT", path, infoShape, {
      body: config,
      headers: { "if-none-match": "*" },
      safe: false,
    });
  } catch (error) {
    if (error instanceof MillraceError && error.code === "exists") return undefined;
    throw error;
  }
}

/** What is there, and by which tag a change says that it is about that, and nothing that came since. */
export async function tagged<Info>({ http, path }: Defined): Promise<{ info: Info; tag: string | undefined }> {
  const call: Call = {};
  const info = await http.json<Info>("GET", path, infoShape, call);
  return { info, tag: call.response?.headers.get("etag") ?? undefined };
}

/** Changes what is named, at every depth; null is a field's default, or takes a member out. Throws where there is none. */
export function patch<Info>(
  { http, path }: Defined,
  config: object,
  { dryRun = false, tag = undefined as string | undefined } = {},
): Promise<Info> {
  const call = { body: config, query: dryRun ? { dryRun } : {} };
  return http.json<Info>(
    "PATCH",
    path,
    infoShape,
    tag === undefined ? call : { ...call, headers: { "if-match": tag } },
  );
}
