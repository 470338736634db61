/** Blobs in a store that speaks S3. */
import { createHash } from "node:crypto";
import { type Blob, type Blobs, batchMax, checkKey, markName, uploadName, uploadOf } from "./blobs.ts";
import {
  type Borne,
  callMs,
  emptyBody,
  Fault,
  ofReads,
  type Patience,
  patience,
  patiently,
  steady,
  within,
} from "./patience.ts";
import { isPassing, type S3Request, type S3Store, s3Requests } from "./s3-request.ts";
import { elementsOf, escaped, isAnswer, textOf } from "./s3-xml.ts";

const markHeader = `x-amz-meta-${markName}`;

export function s3Blobs(store: S3Store, patient: Patience = patience): Blobs {
  const send = s3Requests(store);
  /** The store is known to keep to If-None-Match. */
  let conditional = false;

  const what = (operation: string, key: string) => `S3 bucket ${store.bucket}: ${operation} of ${key}`;
  /** One attempt: the request and all of what `read` makes of the answer, within its time. */
  const attempting =
    (borne: Borne) =>
    <T>(bytes: number, request: S3Request, read: (response: Response) => Promise<T>): Promise<T> =>
      within(callMs(borne, bytes), async (signal) => read(await send(request, signal)));
  const reads = ofReads(patient);
  const [once, readOnce] = [patient, reads].map(attempting);
  const ask = <T>(name: string, bytes: number, request: S3Request, read: (response: Response) => Promise<T>) =>
    patiently(name, patient, () => once(bytes, request, read));
  const askOnce = <T>(name: string, bytes: number, request: S3Request, read: (response: Response) => Promise<T>) =>
    patiently(name, { ...patient, attempts: 1 }, () => once(bytes, request, read));

  /** What HEAD says of an object, which is a status without words. */
  async function head(key: string, attempt = once): Promise<Headers | undefined> {
    try {
      return await attempt(0, { method: "HEAD", key }, async ({ headers }) => headers);
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }
  const markOf = async (key: string) => (await head(key))?.get(markHeader);

  /** The object, where a read failed because it began at its end or behind it; undefined where there is none. */
  async function behind(key: string, from: number, error: unknown): Promise<{ readonly size: number } | undefined> {
    // By the store's word: a 404 of a missing bucket, or of somebody else, says nothing about the object.
    if (codeOf(error) === "NoSuchKey") return undefined;
    // There are stores that fail where they should refuse the range.
    if (statusOf(error) !== 416 && statusOf(error) !== 500) throw error;
    const length = (await head(key, readOnce))?.get("content-length");
    if (!length || Number(length) > from) throw error;
    return { size: Number(length) };
  }

  /** False where there was one already. */
  async function createOnce(key: string, body: Uint8Array, mark: string, cutOff?: () => void): Promise<boolean> {
    const headers = { "if-none-match": "*", [markHeader]: mark };
    try {
      await once(body.length, { method: "PUT", key, headers, body }, drained);
      return true;
    } catch (error) {
      if (statusOf(error) === 412) return false;
      // What is not the store's own word, as of a gateway, says nothing of what the store does.
      if (codeOf(error) === undefined) cutOff?.();
      throw error;
    }
  }

  return {
    get(key, from, length) {
      return patiently(what("get", key), reads, async () => {
        if (length <= 0) return (await head(key, readOnce)) === undefined ? undefined : new Uint8Array(0);
        const range = `bytes=${from}-${from + length - 1}`;
        try {
          return await readOnce(length, { method: "GET", key, headers: { range } }, async (response) => {
            const { size, base } = await extentOf(response, from, length);
            const bytes = new Uint8Array(await response.arrayBuffer().catch(cutShort));
            if (base !== from || bytes.length !== Math.min(length, size - from)) return cutShort();
            return bytes;
          });
        } catch (error) {
          return (await behind(key, from, error)) && new Uint8Array(0);
        }
      });
    },

    open(key, from = 0) {
      const name = what("get", key);
      return patiently(name, reads, async () => {
        const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
        try {
          return await readOnce(0, { method: "GET", key, headers }, async (response) => {
            const { size } = await extentOf(response, from);
            return { size, body: steady(name, patient, response.body ?? emptyBody(), size - from) };
          });
        } catch (error) {
          const found = await behind(key, from, error);
          return found && { ...found, body: emptyBody() };
        }
      });
    },

    /**
     * There are stores that take If-None-Match and do not look at it: there, whatever is written would be called created.
     * So the first create of all is made twice: a store that refuses the second is believed from then on, and one that
     * takes it is an Error, before anything was called created on it. Until then, an object that is there is not touched.
     */
    async create(key, body, cutOff) {
      checkKey(key);
      const mark = crypto.randomUUID();
      const name = what("create", key);
      if (!conditional && (await patiently(name, patient, () => head(key))) !== undefined) return false;
      const created = await patiently(name, patient, async (attempt) => {
        if (await createOnce(key, body, mark, cutOff)) return true;
        // An attempt before this one may have been done, and only its answer lost.
        return attempt > 1 && (await markOf(key)) === mark;
      });
      if (created && !conditional) {
        await patiently(name, patient, async () => {
          if (await createOnce(key, body, mark, cutOff))
            throw new Fault("the store does not keep to If-None-Match", false);
        });
        conditional = true;
      }
      return created;
    },

    async put(key, stream, length) {
      await askOnce(what("put", key), length, { method: "PUT", key, body: { stream, length } }, drained);
    },

    async delete(keys) {
      for (let next = 0; next < keys.length; next += batchMax) {
        const batch = keys.slice(next, next + batchMax);
        const body = encode(
          `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${batch
            .map((key) => `<Object><Key>${escaped(key)}</Key></Object>`)
            .join("")}</Delete>`,
        );
        const headers = {
          "content-type": "application/xml",
          // Stores refuse this request without one, and this is the checksum that all of them know.
          "content-md5": createHash("md5").update(body).digest("base64"),
        };
        const name = what("delete", `${batch[0]} and ${batch.length - 1} more`);
        await ask(name, body.length, { method: "POST", query: { delete: "" }, headers, body }, async (response) => {
          const xml = await answerOf(response, "DeleteResult");
          for (const error of elementsOf(xml, "Error")) {
            const code = textOf(error, "Code");
            if (code !== "NoSuchKey")
              throw new Fault(`${code} of ${textOf(error, "Key")}`, isPassing(code), { status: 200, code });
          }
        });
      }
    },

    list(prefix, after) {
      const query = {
        "list-type": "2",
        "encoding-type": "url",
        "max-keys": String(batchMax),
        prefix,
        ...(after === undefined ? {} : { "start-after": after }),
      };
      const read = async (response: Response) => {
        const xml = await answerOf(response, "ListBucketResult");
        const isUrl = textOf(xml, "EncodingType") === "url";
        const blobs = elementsOf(xml, "Contents").map((item) => blobOf(item, isUrl));
        if (textOf(xml, "IsTruncated") !== "true") return { blobs };
        if (blobs.length === 0) throw new Fault("it has more, and gave nothing", true);
        return { blobs, after: blobs[blobs.length - 1].key };
      };
      return patiently(what("list", prefix), reads, () => readOnce(0, { method: "GET", query }, read));
    },

    begin(key) {
      const mark = crypto.randomUUID();
      const request: S3Request = { method: "POST", key, query: { uploads: "" }, headers: { [markHeader]: mark } };
      return ask(what("begin", key), 0, request, async (response) => {
        const id = textOf(await answerOf(response, "InitiateMultipartUploadResult"), "UploadId");
        if (!id) throw new Fault("it did not name the upload", false);
        return uploadName({ mark, id });
      });
    },

    async part(key, upload, number, stream, length) {
      const query = { partNumber: String(number), uploadId: uploadOf(upload).id };
      const request: S3Request = { method: "PUT", key, query, body: { stream, length } };
      return askOnce(what(`part ${number}`, key), length, request, async (response) => {
        await drained(response);
        const etag = response.headers.get("etag");
        if (!etag) throw new Fault("it gave no etag", false);
        return etag;
      });
    },

    async complete(key, upload, parts) {
      const { mark, id } = uploadOf(upload);
      const list = parts
        .map(({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>${escaped(etag)}</ETag></Part>`)
        .join("");
      const body = encode(
        `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list}</CompleteMultipartUpload>`,
      );
      const headers = { "content-type": "application/xml" };
      await patiently(what("complete", key), patient, async () => {
        try {
          const request: S3Request = { method: "POST", key, query: { uploadId: id }, headers, body };
          await once(body.length, request, (response) => answerOf(response, "CompleteMultipartUploadResult"));
        } catch (error) {
          if (codeOf(error) !== "NoSuchUpload" || (await markOf(key)) !== mark) throw error;
        }
      });
    },

    async abort(key, upload) {
      await patiently(what("abort", key), patient, async () => {
        try {
          await once(0, { method: "DELETE", key, query: { uploadId: uploadOf(upload).id } }, drained);
        } catch (error) {
          if (codeOf(error) !== "NoSuchUpload") throw error;
        }
      });
    },
  };
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const statusOf = (error: unknown): number | undefined => (error instanceof Fault ? error.status : undefined);
const codeOf = (error: unknown): string | undefined => (error instanceof Fault ? error.code : undefined);

function cutShort(cause?: unknown): never {
  throw new Fault("the body was cut short", true, { cause });
}

/** A connection is only used again when the answer was read to its end. */
async function drained(response: Response): Promise<void> {
  await response.arrayBuffer().catch(() => {}); // It is done; what follows the head says nothing.
}

/** The XML of an answer, which S3 begins to send with a status of success before it knows. */
async function answerOf(response: Response, root: string): Promise<string> {
  const xml = await response.text().catch(cutShort);
  if (isAnswer(xml, root)) return xml;
  const code = textOf(xml, "Code");
  // An answer that was not an error's either may come from somebody in between.
  throw new Fault(`${response.status} ${code ?? `without ${root}`}`, isPassing(code), {
    status: response.status,
    code,
  });
}

/** The object's size, and where the body begins. */
async function extentOf(
  response: Response,
  from: number,
  length = Number.POSITIVE_INFINITY,
): Promise<{ readonly size: number; readonly base: number }> {
  const { status, headers } = response;
  if (status === 206) {
    const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "");
    if (match !== null) return { base: Number(match[1]), size: Number(match[2]) };
  }
  const whole = headers.get("content-length");
  if (status === 200 && from === 0 && whole !== null && Number(whole) <= length)
    return { base: 0, size: Number(whole) };
  await response.body?.cancel();
  throw new Fault(`${status} without the range that was asked for`, false, { status });
}

function blobOf(xml: string, isUrl: boolean): Blob {
  const key = textOf(xml, "Key");
  const size = textOf(xml, "Size");
  if (key === undefined || size === undefined) throw new Fault("it listed an object without key or size", false);
  return { key: isUrl ? decodeURIComponent(key.replace(/\+/g, " ")) : key, size: Number(size) };
}
