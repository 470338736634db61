/** An answer of something in between, which says nothing of the records, is none: whoever appends asks again, or does not know. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attemptOf } from "../../src/cli/numbered.ts";
import { Sender } from "../../src/cli/sender.ts";
import type { MillraceError, Stream } from "../../src/client/index.ts";
import { retrying } from "../../src/client/retry.ts";
import { concat, encodeText } from "../../src/lib/bytes.ts";
import { FrameWriter, kinds } from "../../src/log/record.ts";
import { spool } from "../../src/node/index.ts";
import { type Asked, clientOf } from "../cases/answering.ts";

/** Of two records. */
const others: readonly (readonly [name: string, answer: string])[] = [
  ["an object without anything", "{}"],
  ["null", "null"],
  ["a list", "[]"],
  ["a text", '"ok"'],
  ["a page", "<html>sign in</html>"],
  ["none", ""],
  ["no verdicts", '{"verdicts":[],"runs":[]}'],
  ["one for both", '{"verdicts":[{"verdict":"appended","partition":0,"offset":0}]}'],
  ["one run for both", '{"runs":[{"verdict":"appended","partition":0,"offset":0,"count":1}]}'],
  ["verdicts that are none", '{"verdicts":[null,{}]}'],
  ["runs that are none", '{"runs":[null,{"count":2}]}'],
  ["a number of runs", '{"runs":2}'],
  ["more than there are", '{"runs":[{"verdict":"appended","partition":0,"offset":0,"count":3}]}'],
];

const verdicts = [0, 1].map((offset) => ({ verdict: "appended", partition: 0, offset }));
const runs = [{ verdict: "appended", partition: 0, offset: 0, count: 2 }];
const json = (text: string) => new Response(text, { headers: { "content-type": "application/json" } });
/** Answers that at first, and then as the service does; or that alone. */
function lied(text: string, always = false) {
  let first = true;
  return clientOf(
    ({ body }: Asked) => {
      const lies = first || always;
      first = false;
      return lies ? json(text) : Response.json(typeof body === "string" ? { verdicts } : { runs });
    },
    { retry: { attempts: 3, initialMs: 1 } },
  );
}

function frames(): Uint8Array {
  const writer = new FrameWriter();
  for (const data of ["1", "2"]) writer.add({ kind: kinds.json, data: encodeText(data) });
  return concat(writer.finish(0));
}

const numbered = async (stream: Stream) => {
  const { signal } = new AbortController();
  const attempt = await attemptOf(stream, frames(), { producer: "p", sequence: 0, signal });
  return retrying(attempt, { attempts: 3, initialMs: 1 }, signal, ({ retryable }) => retryable);
};
const unknown = { code: "network", clean: false, retryable: true };

describe.each(others)("%s", (_, text) => {
  test("is asked for again where a repetition is harmless", async () => {
    const named = lied(text);
    expect(await named.stream.append([{ id: "a" }, { id: "b" }])).toEqual(verdicts);
    expect(named.asked.length).toBe(2);
    const packed = lied(text);
    expect(await numbered(packed.stream)).toEqual(runs);
    expect(packed.asked.length).toBe(2);
    const producer = lied(text).stream.producer();
    expect(await Promise.all([1, 2].map((data) => producer.append({ data })))).toEqual(verdicts);
  });

  test("leaves it unknown elsewhere, and in the end", async () => {
    const once = lied(text);
    await expect(once.stream.append([{ data: 1 }, { data: 2 }])).rejects.toMatchObject(unknown);
    expect(once.asked.length).toBe(1);
    const named = lied(text, true);
    await expect(named.stream.append([{ id: "a" }, { id: "b" }])).rejects.toMatchObject(unknown);
    expect(named.asked.length).toBe(3);
    await expect(numbered(lied(text, true).stream)).rejects.toMatchObject(unknown);
    const producer = lied(text, true).stream.producer({ attempts: 3 });
    const settled = await Promise.allSettled([1, 2].map((data) => producer.append({ data })));
    expect(settled).toMatchObject(Array(2).fill({ status: "rejected", reason: unknown }));
  });

  test("is no reason to say that lines were not appended", async () => {
    const { stream } = lied(text, true);
    const told = { settled: () => {}, rejected: () => {} };
    const sender = new Sender(stream, { batchBytesMax: 1_048_576 }, told, 3);
    for (const line of [1, 2]) await sender.push({ kind: kinds.json, data: encodeText("1") }, line);
    await sender.end();
    expect(sender.stop).toMatchObject({ unknown: [1, 2], from: undefined, error: unknown });
  });
});

test.each(["{}", '{"verdicts":[]}', "null"])("of one record too: %s", async (text) => {
  const { stream } = lied(text, true);
  const error = await stream.append({ data: 1 }).catch((error: MillraceError) => error);
  expect(error).toMatchObject({ ...unknown, message: "the service did not answer: something else did" });
});

test.each(["{}", '{"runs":[]}', JSON.stringify({ runs })])(
  "what a spool keeps stays for the next attempt: %s",
  async (text) => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-lied-"));
    const right = { runs: [{ ...runs[0], count: 1 }] };
    const answers = [json(text), Response.json(right)];
    const { stream, asked } = clientOf(() => answers.shift() ?? new Error("nothing more was to be asked"), {
      retry: { initialMs: 1 },
    });
    const producer = stream.producer({ spool: spool(folder) });
    await producer.push({ data: 1 });
    await producer.close();
    const batches = asked.map(({ headers }) => headers["producer-seq"]).filter((sequence) => sequence !== undefined);
    expect(batches).toEqual(["0", "0"]);
    rmSync(folder, { recursive: true });
  },
);
