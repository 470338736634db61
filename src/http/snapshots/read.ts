/** Finding and fetching snapshots. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { getSnapshotQuery, listSnapshotsQuery } from "../../../schemas/snapshot.ts";
import type { Kept } from "../../objects/snapshot-orders.ts";
import type { Env } from "../../objects/stubs.ts";
import { faultTold } from "../../platform/fault-told.ts";
import { checked } from "../../platform/summed.ts";
import { query } from "../parse.ts";
import { json, problem } from "../problem.ts";
import { passedOn } from "../sending.ts";
import { roomFor, Untaken } from "../untaken.ts";
import { ask, bucketOf, type Names, offsetOf, type Target, targetOf, viewOf } from "./target.ts";
import type { SnapshotNames } from "./write.ts";

/** Partitions that are asked at a time. */
const askedAtOnce = 32;
const year = 31_536_000;
/** What one that goes through counts for, from the bucket to a client that does not read. Measured it is up to four times that. */
const passingBytes = 524_288;

export async function listSnapshots(request: Request, env: Env, names: Names): Promise<Response> {
  const terms = query(listSnapshotsQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const first = await targetOf(env, names, terms.value.partition ?? 0);
  if (!first.ok) return problem(first.refusal);
  const { route } = first.value;
  const { partition } = terms.value;
  const numbers = partition === undefined ? route.stream.map.map((range) => range.partition) : [partition];
  const shown: unknown[] = [];
  for (let at = 0; at < numbers.length; at += askedAtOnce) {
    const some = numbers.slice(at, at + askedAtOnce);
    const lists = await Promise.all(some.map((number) => ask({ env, route, number }, "snapshots")));
    for (const [index, list] of lists.entries()) {
      if (!list.ok) return problem(list.refusal);
      shown.push(...list.value.map((snapshot) => viewOf(route, some[index], snapshot)));
    }
  }
  return json({ snapshots: shown });
}

/** `latest`, or the one at an offset. */
export async function getSnapshot(request: Request, env: Env, names: SnapshotNames): Promise<Response> {
  const terms = query(getSnapshotQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const { partition, before, version } = terms.value;
  const latest = names.snapshot === "latest";
  if (!latest && before !== undefined) {
    return problem({ code: "invalid", detail: "query: before: goes with latest", facts: { path: "before" } });
  }
  const offset = latest ? ok(0) : offsetOf(names.snapshot);
  if (!offset.ok) return problem(offset.refusal);
  const target = await targetOf(env, names, partition);
  if (!target.ok) return problem(target.refusal);
  const found = latest
    ? await ask(target.value, "snapshotBefore", before)
    : await ask(target.value, "snapshotAt", offset.value, version);
  if (!found.ok) return problem(found.refusal);
  // Another may be stored at the offset: only what names its version stays what it is.
  return bodyOf(request, target.value, found.value, version !== undefined && !latest);
}

async function bodyOf(request: Request, target: Target, snapshot: Kept, fixed: boolean): Promise<Response> {
  const { bytes, id, contentType, key, crc } = snapshot;
  const etag = `"${id}"`;
  const headers: Record<string, string> = {
    "content-type": contentType,
    "accept-ranges": "bytes",
    etag,
    "cache-control": fixed ? `private, max-age=${year}, immutable` : "private, no-cache",
    "last-modified": new Date(snapshot.created).toUTCString(),
    // It is somebody's, and may be anything: no browser is to make a page of it.
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox",
    "millrace-snapshot": JSON.stringify(viewOf(target.route, target.number, snapshot)).replace(
      /[^\x20-\x7e]/g,
      escaped,
    ),
  };
  const { headers: asked } = request;
  if (asked.get("if-none-match")?.includes(etag)) return new Response(null, { status: 304, headers });
  const same = asked.get("if-range") === null || asked.get("if-range") === etag;
  const range = rangeOf(same ? asked.get("range") : null, bytes);
  if (!range.ok) return problem(range.refusal, { "content-range": `bytes */${bytes}` });
  const [from, to] = range.value ?? [0, bytes];
  const status = range.value === undefined ? 200 : 206;
  headers["content-length"] = String(to - from);
  if (range.value !== undefined) headers["content-range"] = `bytes ${from}-${to - 1}/${bytes}`;
  if (request.method === "HEAD") return new Response(null, { headers });
  const blobs = bucketOf(target.env);
  if (!blobs.ok) return problem(blobs.refusal);
  const room = await roomFor(passingBytes);
  if (!room.ok) return problem(room.refusal);
  const untaken = new Untaken(room.value);
  untaken.holds(passingBytes);
  try {
    const object = await blobs.value.open(key, from);
    if (object === undefined || object.size !== bytes) {
      untaken.end();
      return problem({ code: "damaged", detail: "the object of the snapshot is missing, or not what was stored" });
    }
    const part = to < bytes ? upTo(object.body, to - from) : object.body;
    const body = crc === null || to - from < bytes ? part : checked(part, crc);
    return new Response(passedOn(body, untaken, to - from), { status, headers });
  } catch (error) {
    untaken.end();
    return problem(faultTold("the snapshot could not be read", error).refusal);
  }
}

const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The bytes `[from, to)` that a Range header asks for; undefined where it asks for all, or in a way that is not known. */
function rangeOf(header: string | null, bytes: number): Result<readonly [number, number] | undefined> {
  const [, first, last] = /^bytes=(\d{0,16})-(\d{0,16})$/.exec(header?.trim() ?? "") ?? [];
  if (first === undefined || (first === "" && last === "")) return ok(undefined);
  const from = first === "" ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === "" || last === "" ? bytes : Math.min(bytes, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < from) return ok(undefined);
  if (from < to) return ok([from, to]);
  return refuse("bad-range", `the snapshot has ${bytes} bytes; '${header}' lies outside`, { bytes });
}

/** The first bytes of a stream. */
function upTo(body: ReadableStream<Uint8Array>, length: number): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = length;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (value !== undefined) controller.enqueue(value.subarray(0, left));
        left -= value?.length ?? 0;
        if (!done && left > 0) return;
        controller.close();
        if (!done) await reader.cancel();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
