/** What every store of blobs does, whatever is behind it. */
import { expect, test } from "vitest";
import type { Blob, Blobs } from "../../src/platform/blobs.ts";

const mebibyte = 1024 * 1024;
const encode = (text: string) => new TextEncoder().encode(text);

/** Bytes that tell where they stand. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 17 + (i >> 16) + seed) & 255;
  return bytes;
}

/** In chunks of an odd size, made when they are asked for. */
export function streamOf(bytes: Uint8Array, chunk = 65_521): ReadableStream<Uint8Array> {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      if (next >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(next, next + chunk));
      next += chunk;
    },
  });
}

export const read = async (body: ReadableStream<Uint8Array>) => new Uint8Array(await new Response(body).arrayBuffer());

export const same = (a: Uint8Array | undefined, b: Uint8Array) =>
  a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);

async function everything(blobs: Blobs, prefix: string): Promise<Blob[][]> {
  const pages: Blob[][] = [];
  let after: string | undefined;
  do {
    const page = await blobs.list(prefix, after);
    pages.push([...page.blobs]);
    after = page.after;
  } while (after !== undefined && pages.length < 10);
  return pages;
}

/** Order of keys: that of their bytes. */
function inOrder(keys: readonly string[]): string[] {
  const hex = (key: string) => [...encode(key)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [...keys].sort((a, b) => (hex(a) < hex(b) ? -1 : 1));
}

const oddKeys = [
  "a b",
  "a+b",
  "a%20b",
  "a&amp;b<c>'\"",
  "a//b",
  "a/.../b",
  "ä/ö",
  "日本",
  "😀~!*()",
  "ﬀ",
  "q?x=1#h",
  "semi;colon:at@,=$",
  "back\\slash|{}^`[]",
  "trailing/",
];

/** Registers the tests. `blobs` is asked in each of them. */
export function blobCases(blobs: () => Blobs): void {
  test("creates an object once, and whole", async () => {
    const store = blobs();
    const body = pattern(100_000);
    expect(await store.create("create/one", body)).toBe(true);
    expect(await store.create("create/one", encode("another"))).toBe(false);
    expect(same(await store.get("create/one", 0, 200_000), body)).toBe(true);
  });

  test("lets one of many create", async () => {
    const store = blobs();
    const tries = await Promise.all([..."abcdefgh"].map((who) => store.create("create/race", encode(who))));
    expect(tries.filter((won) => won)).toHaveLength(1);
    expect(await store.get("create/race", 0, 10)).toEqual(encode("abcdefgh"[tries.indexOf(true)]));
  });

  test("reads ranges, also those behind the end", async () => {
    const store = blobs();
    const body = pattern(1_000);
    await store.create("ranges/one", body);
    const range = (from: number, length: number) => store.get("ranges/one", from, length);
    expect(await range(0, 1)).toEqual(body.subarray(0, 1));
    expect(await range(10, 20)).toEqual(body.subarray(10, 30));
    expect(await range(990, 100)).toEqual(body.subarray(990));
    expect(await range(0, 1_000)).toEqual(body);
    for (const [from, length] of [
      [1_000, 1],
      [5_000, 10],
      [3, 0],
    ])
      expect(await range(from, length), `${from}, ${length}`).toEqual(new Uint8Array(0));
  });

  test("opens streams, from a byte on, with the full size", async () => {
    const store = blobs();
    const body = pattern(300_000);
    await store.create("open/one", body);
    for (const from of [undefined, 0, 1, 299_999, 300_000, 400_000]) {
      const found = await store.open("open/one", from);
      expect(found?.size, `from ${from}`).toBe(300_000);
      expect(same(await read(found!.body), body.subarray(from ?? 0)), `from ${from}`).toBe(true);
    }
    const left = await store.open("open/one");
    await left!.body.cancel();
  });

  test("writes a stream of known length, and replaces", async () => {
    const store = blobs();
    const body = pattern(3 * mebibyte + 7);
    await store.put("put/one", streamOf(encode("before")), 6);
    await store.put("put/one", streamOf(body), body.length);
    const found = await store.open("put/one");
    expect(found?.size).toBe(body.length);
    expect(same(await read(found!.body), body)).toBe(true);
    expect(await store.create("put/one", encode("x"))).toBe(false);
  });

  test("writes nothing of a stream that breaks or ends early", async () => {
    const store = blobs();
    let sent = false;
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) return controller.error(new Error("the source broke"));
        sent = true;
        controller.enqueue(pattern(70_000));
      },
    });
    await expect(store.put("put/broken", broken, 200_000)).rejects.toThrow();
    await expect(store.put("put/short", streamOf(pattern(10)), 20)).rejects.toThrow(/put of put\/short failed/);
    expect((await store.list("put/broken")).blobs).toEqual([]);
    expect((await store.list("put/short")).blobs).toEqual([]);
  });

  test("keeps empty objects", async () => {
    const store = blobs();
    expect(await store.create("empty/created", new Uint8Array(0))).toBe(true);
    expect(await store.create("empty/created", new Uint8Array(0))).toBe(false);
    await store.put("empty/put", streamOf(new Uint8Array(0)), 0);
    for (const key of ["empty/created", "empty/put"]) {
      expect(await store.get(key, 0, 10)).toEqual(new Uint8Array(0));
      expect(await store.get(key, 5, 10)).toEqual(new Uint8Array(0));
      const found = await store.open(key);
      expect(found?.size).toBe(0);
      expect(await read(found!.body)).toEqual(new Uint8Array(0));
    }
    expect((await store.list("empty/")).blobs).toEqual([
      { key: "empty/created", size: 0 },
      { key: "empty/put", size: 0 },
    ]);
  });

  test("knows what is not there", async () => {
    const store = blobs();
    expect(await store.get("absent", 0, 10)).toBeUndefined();
    expect(await store.get("absent", 0, 0)).toBeUndefined();
    expect(await store.get("absent", 5, 10)).toBeUndefined();
    expect(await store.open("absent")).toBeUndefined();
    expect(await store.open("absent", 5)).toBeUndefined();
    expect(await store.list("absent")).toEqual({ blobs: [] });
    await store.delete(["absent"]);
    await store.delete([]);
  });

  test("keeps odd keys apart, and lists them as they are", async () => {
    const store = blobs();
    const keys = oddKeys.map((key) => `odd/${key}`);
    for (const [i, key] of keys.entries()) expect(await store.create(key, pattern(i + 1)), key).toBe(true);
    for (const [i, key] of keys.entries()) expect(await store.get(key, 0, 100), key).toEqual(pattern(i + 1));
    const listed = (await store.list("odd/")).blobs;
    expect(listed.map(({ key }) => key)).toEqual(inOrder(keys));
    expect(listed.every(({ key, size }) => size === keys.indexOf(key) + 1)).toBe(true);
    const after = await store.list("odd/a", "odd/a&amp;b<c>'\"");
    expect(after.blobs.map(({ key }) => key)).toEqual(["odd/a+b", "odd/a/.../b", "odd/a//b"]);
    await store.delete(keys.slice(1));
    expect((await store.list("odd/")).blobs).toEqual([{ key: keys[0], size: 1 }]);
  });

  test("refuses keys that not every store can address", async () => {
    const store = blobs();
    for (const key of ["", "a/../b", "./a", "a\nb", "ä".repeat(513), "\ud800"])
      await expect(store.create(key, encode("x")), JSON.stringify(key.slice(0, 10))).rejects.toThrow(/not a key/);
    expect(await store.create("ä".repeat(100), encode("x"))).toBe(true);
  });

  test("lists and deletes beyond a thousand", async () => {
    const store = blobs();
    const keys = Array.from({ length: 1_105 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
    const left = [...keys];
    const create = async () => {
      for (let key = left.pop(); key !== undefined; key = left.pop()) await store.create(key, encode(key));
    };
    await Promise.all(Array.from({ length: 8 }, create));
    await store.create("many0", encode("not below it"));
    const pages = await everything(store, "many/");
    expect(pages.map((page) => page.length)).toEqual([1_000, 105]);
    expect(pages.flat()).toEqual(keys.map((key) => ({ key, size: 10 })));
    await store.delete([...keys, "many/none"]);
    expect((await everything(store, "many")).flat()).toEqual([{ key: "many0", size: 12 }]);
  });

  test("puts an object together from parts", async () => {
    const store = blobs();
    const key = "parts/a b+c";
    const upload = await store.begin(key);
    const bodies = [pattern(5 * mebibyte, 1), pattern(5 * mebibyte, 2), pattern(12_345, 3)];
    const parts: { number: number; etag: string }[] = [];
    // The second comes first, and the first twice.
    for (const number of [2, 1, 1, 3]) {
      const body =
        number === 1 && !parts.some((part) => part.number === 1) ? pattern(5 * mebibyte) : bodies[number - 1];
      const etag = await store.part(key, upload, number, streamOf(body), body.length);
      const rest = parts.filter((part) => part.number !== number);
      parts.splice(0, parts.length, ...rest, { number, etag });
    }
    expect(await store.open(key)).toBeUndefined();
    const inNumbers = parts.sort((a, b) => a.number - b.number);
    await store.complete(key, upload, inNumbers);
    const found = await store.open(key);
    expect(found?.size).toBe(10 * mebibyte + 12_345);
    const bytes = await read(found!.body);
    expect(same(bytes.subarray(0, 5 * mebibyte), bodies[0])).toBe(true);
    expect(same(bytes.subarray(5 * mebibyte, 10 * mebibyte), bodies[1])).toBe(true);
    expect(same(bytes.subarray(10 * mebibyte), bodies[2])).toBe(true);
    const across = await store.get(key, 5 * mebibyte - 3, 6);
    expect(same(across, bytes.slice(5 * mebibyte - 3, 5 * mebibyte + 3))).toBe(true);
    await store.complete(key, upload, inNumbers);
    await store.abort(key, upload);
    expect((await store.list("parts/")).blobs).toEqual([{ key, size: found!.size }]);
  });

  test("forgets an upload, and does not complete what it never had", async () => {
    const store = blobs();
    const upload = await store.begin("parts/gone");
    const etag = await store.part("parts/gone", upload, 1, streamOf(pattern(1_000)), 1_000);
    await store.abort("parts/gone", upload);
    await store.abort("parts/gone", upload);
    const parts = [{ number: 1, etag }];
    await expect(store.complete("parts/gone", upload, parts)).rejects.toThrow(/complete of parts\/gone failed/);
    expect(await store.open("parts/gone")).toBeUndefined();
    // Somebody else's object is not taken for this upload's.
    await store.create("parts/gone", encode("x"));
    await expect(store.complete("parts/gone", upload, parts)).rejects.toThrow(/complete of parts\/gone failed/);
  });
}
