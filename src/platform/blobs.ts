/** The store of large things. Two adapters: an R2 binding, and any store that speaks S3. */

export interface Blob {
  readonly key: string;
  readonly size: number;
}

/**
 * A key has 1 to 1 024 bytes of UTF-8, no control characters, and no segment that is `.` or `..`: what every store can
 * address. What fails is asked again a few times where that is safe; then it is an Error that names the store, the operation,
 * the key and the status. After an Error of a write it is open whether the write was done.
 */
export interface Blobs {
  /** Bytes [from, from + length) of an object, fewer at its end; undefined where the object is not there. */
  get(key: string, from: number, length: number): Promise<Uint8Array | undefined>;
  /** The whole object (or from a byte on) as a stream, with its full size. The stream fails where it would be cut short. */
  open(
    key: string,
    from?: number,
  ): Promise<{ readonly size: number; readonly body: ReadableStream<Uint8Array> } | undefined>;
  /**
   * Creates an object, all of it or nothing. False where one with the key exists already. `cutOff` is called for each attempt that
   * was given up without an answer: it may yet be done, though another was, and even after its object was deleted.
   */
  create(key: string, body: Uint8Array, cutOff?: () => void): Promise<boolean>;
  /** Writes an object of known length from a stream, flat in memory; replaces. Asked once: a stream is read once. */
  put(key: string, body: ReadableStream<Uint8Array>, length: number): Promise<void>;
  /** Deletes objects; those that are not there are no error. Batches of any size. */
  delete(keys: readonly string[]): Promise<void>;
  /** Objects whose key begins with prefix, in order of keys, after a key; up to 1000. `after` in the answer where there are more. */
  list(prefix: string, after?: string): Promise<{ readonly blobs: readonly Blob[]; readonly after?: string }>;
  /** Begins an upload in parts of 5 MiB to 5 GiB, of equal size except the last. Answers what names the upload. */
  begin(key: string): Promise<string>;
  /** One part, numbered from 1; one that is sent again replaces. Asked once. Answers its etag. */
  part(key: string, upload: string, number: number, body: ReadableStream<Uint8Array>, length: number): Promise<string>;
  /** Makes the parts an object, in order of numbers; replaces. An upload that was completed before may be completed again. */
  complete(
    key: string,
    upload: string,
    parts: readonly { readonly number: number; readonly etag: string }[],
  ): Promise<void>;
  /** Forgets an upload and frees its parts. One that is not there is no error. */
  abort(key: string, upload: string): Promise<void>;
}

/** How many keys the stores take or give in one call. */
export const batchMax = 1_000;

/** Metadata that says which call wrote an object: a call that is asked again can tell its own from somebody else's. */
export const markName = "millrace-mark";

/** Throws where a key is not one that every store can address. */
export function checkKey(key: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  const refused = key === "" || /[\u0000-\u001f\u007f]/.test(key) || /(^|\/)\.\.?(\/|$)/.test(key);
  if (refused || !key.isWellFormed() || new TextEncoder().encode(key).length > 1_024)
    throw new Error(`not a key of a blob: ${JSON.stringify(key.slice(0, 100))}`);
}

/** What names an upload outside: the mark of its object, and the store's own id. */
export interface Upload {
  readonly mark: string;
  readonly id: string;
}

export const uploadName = ({ mark, id }: Upload): string => `${mark}.${id}`;

export function uploadOf(name: string): Upload {
  const dot = name.indexOf(".");
  if (dot < 0) throw new Error(`not an upload: ${name.slice(0, 100)}`);
  return { mark: name.slice(0, dot), id: name.slice(dot + 1) };
}
