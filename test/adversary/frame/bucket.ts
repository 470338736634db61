/**
 * A store that speaks as much of S3 as the service asks for, in memory. It outlives the service, as a bucket does; it checks
 * no signatures.
 */
import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { error, type Mishap, type Operation, type Spoiler, type StoreAnswer, spoil } from "./mishap.ts";
import { Later } from "./time.ts";

const name = "archive";

interface Blob {
  readonly body: Buffer;
  readonly etag: string;
  /** `x-amz-meta-…`. */
  readonly meta: Readonly<Record<string, string>>;
}

interface Upload {
  readonly key: string;
  readonly meta: Blob["meta"];
  readonly parts: Map<number, Blob>;
}

interface Asked {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

const xml = (root: string, inner: string) => `<?xml version="1.0" encoding="UTF-8"?><${root}>${inner}</${root}>`;
const etagOf = (body: Buffer) => `"${createHash("md5").update(body).digest("hex")}"`;
const unescaped = (text: string) =>
  text.replace(
    /&(lt|gt|quot|apos|amp);/g,
    (_, code) => ({ lt: "<", gt: ">", quot: '"', apos: "'" })[code as string] ?? "&",
  );

/** What becomes of the requests for objects with a text in their names. */
interface Illness {
  readonly spoiler: Spoiler;
  readonly well: Later;
}

export class Bucket {
  readonly #blobs = new Map<string, Blob>();
  readonly #ill = new Map<string, Illness>();
  readonly #uploads = new Map<string, Upload>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((asked, answer) => {
    this.#take(asked, answer).catch(() => answer.destroy());
  });

  static async start(): Promise<Bucket> {
    const bucket = new Bucket();
    bucket.#server.on("connection", (socket) => {
      bucket.#sockets.add(socket.unref());
      socket.on("close", () => bucket.#sockets.delete(socket));
    });
    await new Promise<void>((done) => bucket.#server.listen(0, "127.0.0.1", done));
    bucket.#server.unref();
    return bucket;
  }

  /** What tells the service of it. */
  get variables(): Record<string, string> {
    return {
      MILLRACE_S3_ENDPOINT: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      MILLRACE_S3_BUCKET: name,
      MILLRACE_S3_ACCESS_KEY_ID: "adversary",
      MILLRACE_S3_SECRET_ACCESS_KEY: "adversary",
    };
  }

  end(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** From now on the store is not well for objects with this text in their names; without a spoiler it is again. */
  spoil(part: string, spoiler?: Spoiler): void {
    this.#ill.get(part)?.well.resolve();
    if (spoiler === undefined) this.#ill.delete(part);
    else this.#ill.set(part, { spoiler, well: new Later() });
  }

  /** What lies there of this prefix, by name. */
  objects(prefix: string): Map<string, Buffer> {
    const found = [...this.#blobs].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1));
    return new Map(found.map(([key, { body }]) => [key, body]));
  }

  /** Another object is put in its place, or none. */
  change(key: string, body: Buffer | undefined): void {
    const blob = this.#blobs.get(key);
    if (body === undefined) this.#blobs.delete(key);
    else this.#blobs.set(key, { meta: {}, ...blob, body, etag: etagOf(body) });
  }

  keys(prefix: string): string[] {
    return [...this.objects(prefix).keys()];
  }

  body(key: string): Buffer | undefined {
    return this.#blobs.get(key)?.body;
  }

  /** What a disk does without asking: bytes change, or are gone. The rest of the object stays as it is, its ETag too. */
  become(key: string, body: Buffer | undefined): void {
    const blob = this.#blobs.get(key);
    if (body === undefined) this.#blobs.delete(key);
    else this.#blobs.set(key, { etag: etagOf(body), meta: {}, ...blob, body });
  }

  async #take(message: IncomingMessage, answer: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    // A body that is cut off is none.
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const url = new URL(message.url as string, "http://bucket");
    const asked = {
      method: message.method as string,
      key: decodeURIComponent(url.pathname.slice(name.length + 2)),
      query: url.searchParams,
      headers: message.headers,
      body: Buffer.concat(chunks),
    };
    const send = ({ status, headers = {}, body = "" }: StoreAnswer) => {
      const bytes = Buffer.from(body);
      answer.writeHead(status, { "content-length": String(bytes.length), ...headers });
      answer.end(asked.method === "HEAD" ? undefined : bytes);
    };
    const what = operationOf(asked);
    for (const [part, { spoiler, well }] of this.#ill) {
      const mishap = what.key.includes(part) ? spoiler(what.operation, what.key) : undefined;
      if (mishap !== undefined)
        return spoil(mishap, { answer, send, act: () => this.#answer(asked, mishap.kind), well: well.promise });
    }
    send(this.#answer(asked));
  }

  #answer(asked: Asked, mishap?: Mishap["kind"]): StoreAnswer {
    const { method, key, query } = asked;
    if (key === "") return method === "GET" ? this.#list(query) : this.#deleted(asked, mishap === "partly");
    if (query.has("uploads") || query.has("uploadId")) return this.#upload(asked);
    if (method === "PUT") return this.#put(asked);
    const blob = this.#blobs.get(key);
    if (method === "DELETE") {
      this.#blobs.delete(key);
      return { status: 204 };
    }
    if (blob === undefined) return error(404, "NoSuchKey");
    return this.#got(asked, blob);
  }

  #got({ headers, method }: Asked, { body, etag, meta }: Blob) {
    const told = { etag, ...meta, "accept-ranges": "bytes" };
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
    if (method === "HEAD") return { status: 200, headers: { ...told, "content-length": String(body.length) } };
    if (range === null) return { status: 200, headers: told, body };
    const from = Number(range[1]);
    if (from >= body.length) return { status: 416, body: xml("Error", "<Code>InvalidRange</Code>") };
    const to = Math.min(range[2] === "" ? Number.POSITIVE_INFINITY : Number(range[2]), body.length - 1);
    const said = { ...told, "content-range": `bytes ${from}-${to}/${body.length}` };
    return { status: 206, headers: said, body: body.subarray(from, to + 1) };
  }

  #put({ key, headers, body }: Asked) {
    if (headers["if-none-match"] === "*" && this.#blobs.has(key)) {
      return { status: 412, body: xml("Error", "<Code>PreconditionFailed</Code>") };
    }
    const blob = { body, etag: etagOf(body), meta: metaOf(headers) };
    this.#blobs.set(key, blob);
    return { status: 200, headers: { etag: blob.etag } };
  }

  #upload({ method, key, query, headers, body }: Asked) {
    if (query.has("uploads")) {
      const id = randomUUID();
      this.#uploads.set(id, { key, meta: metaOf(headers), parts: new Map() });
      return { status: 200, body: xml("InitiateMultipartUploadResult", `<UploadId>${id}</UploadId>`) };
    }
    const id = query.get("uploadId") as string;
    const upload = this.#uploads.get(id);
    if (upload === undefined) return { status: 404, body: xml("Error", "<Code>NoSuchUpload</Code>") };
    if (method === "PUT") {
      const part = { body, etag: etagOf(body), meta: {} };
      upload.parts.set(Number(query.get("partNumber")), part);
      return { status: 200, headers: { etag: part.etag } };
    }
    this.#uploads.delete(id);
    if (method === "DELETE") return { status: 204 };
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, number]) =>
      Number(number),
    );
    const whole = Buffer.concat(numbers.map((number) => (upload.parts.get(number) as Blob).body));
    const blob = { body: whole, etag: etagOf(whole), meta: upload.meta };
    this.#blobs.set(key, blob);
    return { status: 200, body: xml("CompleteMultipartUploadResult", `<ETag>${blob.etag}</ETag>`) };
  }

  #deleted({ body }: Asked, partly: boolean) {
    const keys = keysIn(body);
    const done = partly ? Math.floor(keys.length / 2) : keys.length;
    for (const key of keys.slice(0, done)) this.#blobs.delete(unescaped(key));
    const failed = keys.slice(done).map((key) => `<Error><Key>${key}</Key><Code>InternalError</Code></Error>`);
    return { status: 200, body: xml("DeleteResult", failed.join("")) };
  }

  #list(query: URLSearchParams) {
    const after = query.get("start-after") ?? "";
    const keys = [...this.#blobs.keys()]
      .filter((key) => key.startsWith(query.get("prefix") ?? "") && key > after)
      .sort();
    const shown = keys.slice(0, Number(query.get("max-keys") ?? 1000));
    const item = (key: string) => {
      const { body, etag } = this.#blobs.get(key) as Blob;
      return `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${body.length}</Size><ETag>${etag}</ETag><LastModified>${new Date().toISOString()}</LastModified></Contents>`;
    };
    const more = `<IsTruncated>${shown.length < keys.length}</IsTruncated><EncodingType>url</EncodingType>`;
    return { status: 200, body: xml("ListBucketResult", more + shown.map(item).join("")) };
  }
}

const keysIn = (body: Buffer) => [...body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key as string);

/** What is done, and to which object; of several the first, of a list their prefix. */
function operationOf({ method, key, query, body }: Asked): { operation: Operation; key: string } {
  if (key === "" && method === "GET") return { operation: "list", key: query.get("prefix") ?? "" };
  if (key === "") return { operation: "delete", key: unescaped(keysIn(body)[0] ?? "") };
  const operation = method === "DELETE" ? "delete" : method === "GET" || method === "HEAD" ? "read" : "write";
  return { operation, key };
}

function metaOf(headers: IncomingMessage["headers"]): Record<string, string> {
  const entries = Object.entries(headers).filter(([header]) => header.startsWith("x-amz-meta-"));
  return Object.fromEntries(entries) as Record<string, string>;
}
