import type { Blobs } from "../../src/platform/blobs.ts";

/** A bucket in memory: for properties that ask more of a bucket than a real one answers in a test's time. */
export function memoryBlobs(): Blobs {
  const objects = new Map<string, Uint8Array>();
  return {
    async get(key, from, length) {
      // A range that is none is answered with the whole object by real ones, and not taken.
      if (from < 0 && length > 0) throw new Error(`no range: ${from}, ${length}`);
      return objects.get(key)?.slice(from, from + length);
    },
    async open(key, from = 0) {
      const bytes = objects.get(key);
      if (bytes === undefined) return undefined;
      return { size: bytes.length, body: new Blob([bytes.slice(from) as Uint8Array<ArrayBuffer>]).stream() };
    },
    async create(key, body) {
      if (objects.has(key)) return false;
      objects.set(key, body.slice());
      return true;
    },
    async put(key, body) {
      objects.set(key, new Uint8Array(await new Response(body).arrayBuffer()));
    },
    async delete(keys) {
      for (const key of keys) objects.delete(key);
    },
    async list(prefix, after = "") {
      const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
      const blobs = keys.map((key) => ({ key, size: objects.get(key)?.length ?? 0 }));
      return { blobs };
    },
    begin: () => Promise.reject(new Error("not here")),
    part: () => Promise.reject(new Error("not here")),
    complete: () => Promise.reject(new Error("not here")),
    abort: () => Promise.reject(new Error("not here")),
  };
}
