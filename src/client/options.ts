/** What a client may be given in its options, and carries only then: `millrace/options`. */
import type { MillraceOptions } from "./http.ts";

/**
 * For `parse` of `MillraceOptions`: gives each record, beside its `data`, its `text`: the JSON of its data as it lies in the
 * log, with numbers of any length, names that stand twice and spaces.
 *
 * @example
 * const exact = new Millrace({ url: "http://localhost:8787", parse: withText });
 * for await (const { text } of exact.stream("orders").read()) console.log(text);
 */
export function withText(text: string): unknown {
  const value = JSON.parse(text);
  const records: { text?: string }[] = value?.records ?? value?.deliveries ?? [];
  let at = text.search(/"(records|deliveries)":\[/);
  for (let [index, depth, from] = [0, 1, 0]; index < records.length && at < text.length; at++) {
    const char = text[at];
    if (char === '"') {
      const start = at;
      while (text[++at] !== '"') if (text[at] === "\\") at++;
      if (depth === 3 && text.startsWith('"data":', start)) from = at + 2;
    } else if (char === "{" || char === "[") depth++;
    else if (depth === 3 && (char === "," || char === "}")) {
      if (from > 0) records[index].text = text.slice(from, at);
      from = 0;
      if (char === "}") [index, depth] = [index + 1, 2];
    } else if (char === "}" || char === "]") depth--;
  }
  return value;
}

type Fetch = NonNullable<MillraceOptions["fetch"]>;

const packedBytesMin = 4_096;

/**
 * For `fetch` of `MillraceOptions`: JSON and batches of 4 KiB and more go out as gzip where this place can pack, and it makes
 * them smaller. Not to this machine, where bytes cost less than packing them.
 *
 * @example
 * const millrace = new Millrace({ url: "https://millrace.example.com", token: "secret", fetch: gzipping() });
 * await millrace.stream("orders").append({ data: { text: "x".repeat(10_000) } });
 */
export function gzipping(fetch: Fetch = (input, init) => globalThis.fetch(input, init)): Fetch {
  return async (input, init = {}) => {
    const { body } = init;
    const headers = init.headers as Record<string, string> | undefined;
    // Snapshots are kept as they come.
    const mayBe = /^application\/(json|vnd\.millrace\.frames)$/.test(headers?.["content-type"] ?? "");
    if (!mayBe || isLocal(input) || !(typeof body === "string" || body instanceof Uint8Array))
      return fetch(input, init);
    const packed = await pack(body);
    if (packed === undefined) return fetch(input, init);
    return fetch(input, { ...init, body: packed, headers: { ...headers, "content-encoding": "gzip" } });
  };
}

const isLocal = (url: string) => /^https?:\/\/(localhost|127\.[\d.]+|\[::1\])[:/]/.test(url);

async function pack(body: string | Uint8Array): Promise<ArrayBuffer | undefined> {
  if (body.length < packedBytesMin || typeof CompressionStream === "undefined") return undefined;
  const packing = new Response(body as BodyInit).body?.pipeThrough(new CompressionStream("gzip"));
  const packed = await new Response(packing as BodyInit).arrayBuffer();
  return packed.byteLength < body.length ? packed : undefined;
}
