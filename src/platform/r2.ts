/** Blobs in a bucket that is bound. */
import { type Blobs, batchMax, checkKey, markName, uploadName, uploadOf } from "./blobs.ts";
import {
  type Borne,
  callMs,
  emptyBody,
  Fault,
  messageOf,
  ofReads,
  type Patience,
  patience,
  patiently,
  steady,
  within,
} from "./patience.ts";

/** R2's codes, which end its messages. */
const noSuchUpload = "10024";
const invalidRange = "10039";
const unspecified = "0";
/** InternalError, ServiceUnavailable, TooManyRequests. */
const passing = ["10001", "10043", "10058"];

export function r2Blobs(bucket: R2Bucket, patient: Patience = patience): Blobs {
  const what = (operation: string, key: string) => `R2 bucket: ${operation} of ${key}`;
  const asking =
    (borne: Borne) =>
    <T>(name: string, bytes: number, work: (attempt: number) => Promise<T>, cutOff?: () => void): Promise<T> =>
      patiently(name, borne, async (attempt) => {
        try {
          return await within(callMs(borne, bytes), () => work(attempt).catch(fail));
        } catch (error) {
          // Without R2's own word it may yet be done.
          if (codeOf(error)?.length !== 5) cutOff?.();
          throw error;
        }
      });
  const [ask, askOnce, read] = [patient, { ...patient, attempts: 1 }, ofReads(patient)].map(asking);
  const markOf = async (key: string) => (await bucket.head(key))?.customMetadata?.[markName];

  /** An object without a body where the range begins at its end or behind it. */
  async function ranged(
    key: string,
    range: { offset: number; length?: number },
  ): Promise<R2ObjectBody | { readonly size: number; readonly body?: undefined } | undefined> {
    try {
      return (await bucket.get(key, { range })) ?? undefined;
    } catch (error) {
      // R2 refuses, and the local one fails at the very end of an object.
      if (![invalidRange, unspecified].includes(codeOf(error) ?? "")) throw error;
      const found = (await bucket.head(key)) ?? undefined;
      if (found !== undefined && found.size > range.offset) throw error;
      return found && { size: found.size };
    }
  }

  return {
    get(key, from, length) {
      return read(what("get", key), length, async () => {
        if (length <= 0) return (await bucket.head(key)) === null ? undefined : new Uint8Array(0);
        const found = await ranged(key, { offset: from, length });
        return found && new Uint8Array(found.body === undefined ? new ArrayBuffer(0) : await found.arrayBuffer());
      });
    },

    open(key, from = 0) {
      const name = what("get", key);
      return read(name, 0, async () => {
        const found = from > 0 ? await ranged(key, { offset: from }) : ((await bucket.get(key)) ?? undefined);
        if (found === undefined) return undefined;
        const { size } = found;
        return { size, body: found.body === undefined ? emptyBody() : steady(name, patient, found.body, size - from) };
      });
    },

    async create(key, body, cutOff) {
      checkKey(key);
      const mark = crypto.randomUUID();
      const options = { onlyIf: { etagDoesNotMatch: "*" }, customMetadata: { [markName]: mark } };
      const work = async (attempt: number) => {
        if ((await bucket.put(key, body, options)) !== null) return true;
        // An attempt before this one may have been done, and only its answer lost.
        return attempt > 1 && (await markOf(key)) === mark;
      };
      return ask(what("create", key), body.length, work, cutOff);
    },

    async put(key, body, length) {
      checkKey(key);
      await askOnce(what("put", key), length, () => bucket.put(key, ofLength(body, length)));
    },

    async delete(keys) {
      for (let next = 0; next < keys.length; next += batchMax) {
        const batch = keys.slice(next, next + batchMax);
        await ask(what("delete", `${batch[0]} and ${batch.length - 1} more`), 0, () => bucket.delete(batch));
      }
    },

    list(prefix, after) {
      return read(what("list", prefix), 0, async () => {
        const { objects, truncated } = await bucket.list({ prefix, startAfter: after, limit: batchMax });
        const blobs = objects.map(({ key, size }) => ({ key, size }));
        if (!truncated) return { blobs };
        if (blobs.length === 0) throw new Fault("it has more, and gave nothing", true);
        return { blobs, after: blobs[blobs.length - 1].key };
      });
    },

    async begin(key) {
      checkKey(key);
      const mark = crypto.randomUUID();
      return ask(what("begin", key), 0, async () => {
        const { uploadId } = await bucket.createMultipartUpload(key, { customMetadata: { [markName]: mark } });
        return uploadName({ mark, id: uploadId });
      });
    },

    async part(key, upload, number, body, length) {
      const { id } = uploadOf(upload);
      return askOnce(what(`part ${number}`, key), length, async () => {
        const { etag } = await bucket.resumeMultipartUpload(key, id).uploadPart(number, ofLength(body, length));
        return etag;
      });
    },

    async complete(key, upload, parts) {
      const { mark, id } = uploadOf(upload);
      const all = parts.map(({ number, etag }) => ({ partNumber: number, etag }));
      await ask(what("complete", key), 0, async () => {
        try {
          await bucket.resumeMultipartUpload(key, id).complete(all);
        } catch (error) {
          if (codeOf(error) !== noSuchUpload || (await markOf(key)) !== mark) throw error;
        }
      });
    },

    async abort(key, upload) {
      const { id } = uploadOf(upload);
      await ask(what("abort", key), 0, async () => {
        try {
          await bucket.resumeMultipartUpload(key, id).abort();
        } catch (error) {
          if (codeOf(error) !== noSuchUpload) throw error;
        }
      });
    },
  };
}

/** R2 refuses a stream whose length it cannot know. */
const ofLength = (body: ReadableStream<Uint8Array>, length: number) => body.pipeThrough(new FixedLengthStream(length));

const codeOf = (error: unknown): string | undefined => /\((\d+)\)$/.exec(messageOf(error))?.[1];

/** What has no code of R2's own never came to R2, or not back. */
function fail(error: unknown): never {
  if (error instanceof Fault) throw error;
  const code = codeOf(error);
  const known = code !== undefined && code.length === 5;
  throw new Fault(messageOf(error), !known || passing.includes(code), { code, cause: error });
}
