/**
 * Storing snapshots. The bytes go from the request to the bucket, past the partition, which knows of an object before it
 * is begun and says last whether it counts.
 */
import { type ErrorCode, ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import {
  completeBody,
  contentType,
  defaultContentType,
  leaseBody,
  onlyPartitionQuery,
  putSnapshotQuery,
  uploadBody,
} from "../../../schemas/snapshot.ts";
import type { Begin } from "../../archive/snapshots.ts";
import { check } from "../../lib/check.ts";
import { crc32cOfBoth, type Sum } from "../../lib/crc32c.ts";
import type { Snapshot } from "../../log/snapshot-store.ts";
import type { Placed } from "../../objects/snapshot-orders.ts";
import type { Env } from "../../objects/stubs.ts";
import type { Blobs } from "../../platform/blobs.ts";
import { faultOf, faultTold } from "../../platform/fault-told.ts";

import { query, readJson } from "../parse.ts";
import { answer, json, problem } from "../problem.ts";
import { lengthOf, partOf, store, storePart } from "./body.ts";
import { ask, bucketOf, type Names, offsetOf, type Target, targetOf, viewOf } from "./target.ts";

export interface SnapshotNames extends Names {
  readonly snapshot: string;
}

export interface UploadNames extends SnapshotNames {
  readonly upload: string;
}

/** What every change of snapshots needs. */
interface Bench extends Target {
  readonly offset: number;
  readonly blobs: Blobs;
}

async function benchOf(env: Env, names: SnapshotNames, partition: number | undefined): Promise<Result<Bench>> {
  const offset = offsetOf(names.snapshot);
  if (!offset.ok) return offset;
  const target = await targetOf(env, names, partition);
  if (!target.ok) return target;
  const blobs = bucketOf(env);
  return blobs.ok ? ok({ ...target.value, offset: offset.value, blobs: blobs.value }) : blobs;
}

export async function putSnapshot(request: Request, env: Env, names: SnapshotNames): Promise<Response> {
  const terms = query(putSnapshotQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const type = check(contentType, request.headers.get("content-type") ?? defaultContentType, "content-type");
  if (!type.ok) return problem(type.refusal);
  const length = lengthOf(request, limits.snapshotBytesMax);
  if (!length.ok) return problem(length.refusal);
  const bench = await benchOf(env, names, terms.value.partition);
  if (!bench.ok) return problem(bench.refusal);
  const begun = await begin(bench.value, { contentType: type.value, ...terms.value });
  if (!begun.ok) return problem(begun.refusal);
  const stored = await store(request, length.value, begun.value.key, {
    blobs: bench.value.blobs,
    named: (name) => ask(bench.value, "snapshotNamed", begun.value.id, name),
  });
  if (stored.ok) return finish(bench.value, begun.value, stored.value);
  await ask(bench.value, "snapshotGiveUp", begun.value.id);
  return problem(stored.refusal);
}

const begin = (
  bench: Bench,
  { contentType, name = "", lease }: { contentType: string; name?: string | undefined; lease?: string | undefined },
): Promise<Result<Placed>> => {
  const terms: Begin = { offset: bench.offset, contentType, name, ...(lease === undefined ? {} : { lease }) };
  return ask(bench, "snapshotBegin", terms);
};

const shown = ({ route, number }: Target, done: Result<Snapshot>): Response =>
  answer(done, (snapshot) => viewOf(route, number, snapshot), 201);

export async function beginUpload(request: Request, env: Env, names: SnapshotNames): Promise<Response> {
  const terms = onlyPartition(request);
  if (!terms.ok) return problem(terms.refusal);
  const body = await readJson(request, uploadBody);
  if (!body.ok) return problem(body.refusal);
  const bench = await benchOf(env, names, terms.value.partition);
  if (!bench.ok) return problem(bench.refusal);
  const begun = await begin(bench.value, body.value);
  if (!begun.ok) return problem(begun.refusal);
  const { id, key } = begun.value;
  const name = await bucketDoes(() => bench.value.blobs.begin(key));
  const named = name.ok ? await ask(bench.value, "snapshotNamed", id, name.value) : name;
  if (named.ok) return json({ upload: id, partBytes: limits.snapshotPartBytes }, 201);
  await ask(bench.value, "snapshotGiveUp", id);
  return problem(named.refusal);
}

const onlyPartition = (request: Request) => query(onlyPartitionQuery, new URL(request.url));

/** An upload in parts that has begun, for the names in a path; or the snapshot that it has become. */
async function uploadOf(
  partition: number | undefined,
  env: Env,
  names: UploadNames,
): Promise<Result<{ bench: Bench; upload: Placed } | { bench: Bench; made: Snapshot }>> {
  const bench = await benchOf(env, names, partition);
  if (!bench.ok) return bench;
  const found = await ask(bench.value, "snapshotUpload", names.upload);
  if (!found.ok) return found;
  const one = "made" in found.value ? found.value.made : found.value;
  const fits = one.offset === bench.value.offset && ("made" in found.value || found.value.upload !== "");
  if (!fits) return refuse("upload-not-found", `there is no upload '${names.upload}' at offset ${bench.value.offset}`);
  if ("made" in found.value) return ok({ bench: bench.value, made: found.value.made });
  return ok({ bench: bench.value, upload: found.value });
}

const over: Refusal = { code: "upload-not-found", detail: "the upload was completed" };

export async function putPart(request: Request, env: Env, names: UploadNames, part: string): Promise<Response> {
  const terms = onlyPartition(request);
  if (!terms.ok) return problem(terms.refusal);
  const number = /^[1-9]\d{0,3}$/.test(part) ? Number(part) : 0;
  if (number < 1 || number > limits.snapshotPartsMax) {
    return problem({ code: "invalid", detail: `path: parts are numbered from 1 to ${limits.snapshotPartsMax}` });
  }
  const length = lengthOf(request, limits.snapshotPartBytes);
  if (!length.ok) return problem(length.refusal);
  const found = await uploadOf(terms.value.partition, env, names);
  if (!found.ok) return problem(found.refusal);
  if ("made" in found.value) return problem(over);
  const { bench, upload } = found.value;
  return answer(await storePart(request, length.value, bench.blobs, upload, number), (etag) => ({ etag }));
}

export async function completeUpload(request: Request, env: Env, names: UploadNames): Promise<Response> {
  const terms = onlyPartition(request);
  if (!terms.ok) return problem(terms.refusal);
  const body = await readJson(request, completeBody);
  if (!body.ok) return problem(body.refusal);
  const parts = partsOf(body.value.parts);
  if (!parts.ok) return problem(parts.refusal);
  const found = await uploadOf(terms.value.partition, env, names);
  if (!found.ok) return problem(found.refusal);
  const { bench } = found.value;
  if ("made" in found.value) return shown(bench, ok(found.value.made));
  const { upload } = found.value;
  const bytes = await bucketDoes(async () => {
    await bench.blobs.complete(upload.key, upload.upload, parts.value.parts);
    // What the bucket has counts, and not what was said of it.
    return (await bench.blobs.list(upload.key)).blobs.find(({ key }) => key === upload.key)?.size;
  });
  if (!bytes.ok) return problem(bytes.refusal);
  if (bytes.value === undefined) {
    return problem({ code: "unavailable", detail: "the bucket does not show the object yet; complete it again" });
  }
  return finish(bench, upload, { bytes: bytes.value, crc: parts.value.crc });
}

/** The partition says whether it counts. One that has gone meanwhile deletes nothing any more. */
async function finish(bench: Bench, upload: Placed, sum: Sum): Promise<Response> {
  const done = await ask(bench, "snapshotDone", { id: upload.id, offset: upload.offset }, sum);
  if (!done.ok && gone.includes(done.refusal.code)) await bucketDoes(() => bench.blobs.delete([upload.key]));
  return shown(bench, done);
}

const gone: readonly ErrorCode[] = ["namespace-not-found", "stream-not-found", "wrong-log"];

export async function abortUpload(request: Request, env: Env, names: UploadNames): Promise<Response> {
  const terms = onlyPartition(request);
  if (!terms.ok) return problem(terms.refusal);
  const found = await uploadOf(terms.value.partition, env, names);
  if (!found.ok && found.refusal.code !== "upload-not-found") return problem(found.refusal);
  if (found.ok && "made" in found.value) return problem(over);
  if (found.ok) {
    const gone = await ask(found.value.bench, "snapshotGiveUp", names.upload);
    if (!gone.ok) return problem(gone.refusal);
  }
  return new Response(null, { status: 204 });
}

export async function leaseSnapshot(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, leaseBody);
  if (!body.ok) return problem(body.refusal);
  const { partition, holder, seconds, offset } = body.value;
  const target = await targetOf(env, names, partition);
  if (!target.ok) return problem(target.refusal);
  const leased = await ask(target.value, "snapshotLease", holder, seconds * 1_000, offset);
  return answer(leased, ({ lease, offset, expires }) => ({
    partition: target.value.number,
    lease,
    offset,
    expiresAt: new Date(expires).toISOString(),
  }));
}

export async function dropSnapshot(request: Request, env: Env, names: SnapshotNames): Promise<Response> {
  const terms = onlyPartition(request);
  if (!terms.ok) return problem(terms.refusal);
  const offset = offsetOf(names.snapshot);
  if (!offset.ok) return problem(offset.refusal);
  const target = await targetOf(env, names, terms.value.partition);
  if (!target.ok) return problem(target.refusal);
  const dropped = await ask(target.value, "snapshotDrop", offset.value);
  return dropped.ok ? new Response(null, { status: 204 }) : problem(dropped.refusal);
}

/** Parts as the bucket knows them: all there, each but the last of full length. Our etags say how long each one is. */
function partsOf(
  given: readonly { number: number; etag: string }[],
): Result<{ parts: { number: number; etag: string }[]; crc: number }> {
  const wrong = (part: number, why: string) => refuse("invalid", `body: parts: ${part}: ${why}`, { path: "parts" });
  const parts: { number: number; etag: string }[] = [];
  let crc = 0;
  for (const [index, { number, etag }] of given.entries()) {
    const part = partOf(etag);
    if (number !== index + 1) return wrong(number, `comes at place ${index + 1}; name every part, in order, once`);
    if (part === undefined) return wrong(number, "is not an etag that the upload of a part has answered");
    if (index < given.length - 1 && part.bytes !== limits.snapshotPartBytes) {
      return wrong(number, `has ${part.bytes} bytes; every part but the last has ${limits.snapshotPartBytes}`);
    }
    parts.push({ number, etag: part.etag });
    crc = crc32cOfBoth(crc, part.crc, part.bytes);
  }
  return ok({ parts, crc });
}

/** What S3 and R2 call a part that was never sent. */
const unknownPart = ["InvalidPart", "10025"];

/** What the bucket makes of it. */
async function bucketDoes<T>(work: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await work());
  } catch (error) {
    const unknown = unknownPart.includes(faultOf(error)?.code ?? "");
    return faultTold("the upload could not go on", error, unknown ? "invalid" : "unavailable");
  }
}
