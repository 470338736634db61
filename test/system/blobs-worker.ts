/** A Worker that does with its archive what it is asked by HTTP: for tests of the archive where it runs. */
import { DurableObject } from "cloudflare:workers";
import { type ArchiveEnv, archiveOf } from "../../src/platform/archive.ts";
import type { Blobs } from "../../src/platform/blobs.ts";

export default {
  async fetch(request: Request, env: ArchiveEnv): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/healthz") return new Response("ok");
    if (url.pathname === "/elsewhere") return fetch(url.searchParams.get("url")!);
    try {
      const blobs = archiveOf(env);
      if (blobs === undefined) throw new Error("there is no archive");
      return await answer(blobs, url.pathname.slice(1), JSON.parse(url.searchParams.get("args")!), request);
    } catch (error) {
      return new Response((error as Error).message, { status: 500 });
    }
  },
};

// biome-ignore lint/suspicious/noExplicitAny: arguments of whatever operation is asked for.
async function answer(blobs: Blobs, operation: string, args: any[], request: Request): Promise<Response> {
  const [key, ...rest] = args;
  if (operation === "get" || operation === "open") {
    const found = operation === "get" ? await blobs.get(key, rest[0], rest[1]) : await blobs.open(key, rest[0]);
    if (found === undefined) return new Response(null, { status: 404 });
    if (found instanceof Uint8Array) return new Response(found);
    return new Response(found.body, { headers: { "x-size": String(found.size) } });
  }
  const body = request.body ?? new Response("").body!;
  const done = await {
    create: async () => blobs.create(key, new Uint8Array(await request.arrayBuffer())),
    put: () => blobs.put(key, body, rest[0]),
    part: () => blobs.part(key, rest[0], rest[1], body, rest[2]),
    delete: () => blobs.delete(key),
    list: () => blobs.list(key, rest[0]),
    begin: () => blobs.begin(key),
    complete: () => blobs.complete(key, rest[0], rest[1]),
    abort: () => blobs.abort(key, rest[0]),
  }[operation]!();
  return Response.json(done ?? null);
}

export class Catalog extends DurableObject {}
export class Partition extends DurableObject {}
export class Delivery extends DurableObject {}
