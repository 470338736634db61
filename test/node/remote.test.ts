/** How long a dump waits for a service, and what it does not believe. */
import { describe, expect, test } from "vitest";
import { groupDefaults } from "../../schemas/group.ts";
import { streamDefaults } from "../../schemas/stream.ts";
import { chunkBlock, jsonBlock, readBlock } from "../../src/archive/dump.ts";
import { Outline } from "../../src/archive/dump-outline.ts";
import { jsonIn } from "../../src/cli/dump/pages.ts";
import { Remote } from "../../src/cli/dump/remote.ts";
import { streamBlocks } from "../../src/cli/dump/stream.ts";
import { Millrace } from "../../src/client/index.ts";
import { concat } from "../../src/lib/bytes.ts";

/** A service that gives these answers, one after another; none where it is undefined. */
function remoteOf(...answers: (Response | undefined)[]) {
  const asked: string[] = [];
  const fetch = async (url: string) => {
    asked.push(url.replace(/.*\/v1\/default/, ""));
    const answer = answers.shift();
    if (answer === undefined) throw new TypeError("fetch failed");
    return answer;
  };
  return { asked, remote: new Remote(new Millrace({ url: "http://nowhere", token: "t", fetch })) };
}
const none = (times: number) => Array.from({ length: times }, () => undefined);

test("one that was never there is given up soon", async () => {
  const { asked, remote } = remoteOf();
  await expect(remote.json("PUT", "", {})).rejects.toMatchObject({ code: "network" });
  expect(asked).toHaveLength(4);
});

test("one that was there is waited for", async () => {
  const { asked, remote } = remoteOf(Response.json({}), ...none(5), Response.json({ n: 1 }));
  await remote.json("PUT", "", {});
  expect(await remote.json("GET", "/streams/a", { n: 0 })).toEqual({ n: 1 });
  expect(asked).toHaveLength(7);
});

test("also where its first answer was that it is busy", async () => {
  const busy = Response.json({ code: "unavailable", detail: "busy", retryable: true, clean: true }, { status: 503 });
  const { remote } = remoteOf(busy, ...none(5), Response.json({ n: 1 }));
  expect(await remote.json("GET", "/streams/a", { n: 0 })).toEqual({ n: 1 });
});

test("streams are listed page by page", async () => {
  const page = (names: string[], after?: string) =>
    Response.json({ streams: names.map((stream) => ({ stream })), after });
  const { asked, remote } = remoteOf(page(["a", "b"], "b"), undefined, page(["c"]));
  const names: string[] = [];
  for await (const name of remote.streams()) names.push(name);
  expect(names).toEqual(["a", "b", "c"]);
  expect(asked).toEqual(["/streams", "/streams?after=b", "/streams?after=b"]);
});

const list = (names: string[], after?: string) =>
  Response.json({ streams: names.map((stream) => ({ stream })), after });
test.each([
  ["names that are out of order", ["b", "a"], undefined, "'a' is out of order"],
  ["a name twice", ["b", "b"], undefined, "'b' is out of order"],
  ["names that were there", ["a"], undefined, "'a' is out of order"],
  ["a place to go on that is not the last name", ["b"], "c", "goes on behind 'c'"],
  ["no names, and a place to go on", [], "a", "goes on behind 'a'"],
] as const)("a list of streams with %s is asked for again, and named", async (_, names, after, says) => {
  const all = async (remote: Remote) => {
    const found: string[] = [];
    for await (const name of remote.streams()) found.push(name);
    return found;
  };
  const wrong = () => list([...names], after);
  const { remote } = remoteOf(list(["a"], "a"), wrong(), wrong(), list(["b"]));
  expect(await all(remote)).toEqual(["a", "b"]);
  const ever = remoteOf(list(["a"], "a"), wrong(), wrong(), wrong(), wrong(), list(["b"]));
  await expect(all(ever.remote)).rejects.toThrow(says);
  expect(ever.asked).toHaveLength(5);
});

describe("a page that came whole and is not what was asked for", () => {
  const logId = "0".repeat(20);
  const range = { partition: 0, from: 0, to: 2 ** 32, epoch: 0, sealed: false };
  const config = { ...streamDefaults, partitions: 1, keyIndex: true };
  const times = { version: 1, created: 1, updated: 1 };
  const groupOf = { group: "g", id: "1".repeat(20), paused: false, partitions: 1, config: groupDefaults, opened: [0] };
  const stream = jsonBlock("stream", { stream: "s", logId, ...times, config, map: [range], opened: [0] });
  const group = jsonBlock("group", { ...groupOf, ...times });
  const at = { floor: 0, era: 0, done: "", paused: null, heritage: null, forwarded: 0 };
  const place = jsonBlock("place", { group: "g", partition: 0, ...at });
  const lanes = jsonBlock("lanes", []);
  const keys = jsonBlock("keys", [["a", 0]]);
  const state = { partition: 0, head: 0, tail: 1, last: 1, sealed: false, thinned: false, producers: 1, ids: 0 };
  const marks = jsonBlock("marks", { ...state, erasures: [] });
  const producers = jsonBlock("producers", [{ id: "p", epoch: 0, seen: 1, batches: "[]" }]);
  const row = { base: 0, next: 1, first: 1, last: 1, records: 1, flags: 0, bytes: 1, print: Uint8Array.of(1) };
  const chunk = chunkBlock({ ...row, body: Uint8Array.of(0) });

  type Answered = readonly [blocks: readonly Uint8Array[], next?: string];
  const pages: Answered[] = [[[stream, group]], [[place]], [[keys]], [[marks, producers]], [[chunk], "1"]];
  const answer = ([blocks, next]: Answered) =>
    new Response(concat([new Uint8Array(0), ...blocks]) as Uint8Array<ArrayBuffer>, {
      headers: {
        "content-type": "application/vnd.millrace.dump",
        "millrace-origin": `1-${logId}-`,
        ...(next === undefined ? {} : { "millrace-next": next }),
      },
    });
  const flipped = (block: Uint8Array) => block.with(block.length - 1, block[block.length - 1] ^ 1);
  const all = async (remote: Remote) => {
    const names: string[] = [];
    for await (const bytes of streamBlocks(remote, "s")) {
      const read = readBlock(bytes, 0, bytes.length);
      names.push(read.ok ? read.value.name : "unreadable");
    }
    return names;
  };
  const whole = ["stream", "group", "place", "settled", "partition", "keys", "marks", "producers", "chunk", "close"];

  /** What is wrong, in which page; and what is said of it. */
  const wrong: [string, number, Answered, RegExp][] = [
    ["a bit of a stream is another", 0, [[flipped(stream), group]], /checksum/],
    ["a stream is cut off", 0, [[stream, group.subarray(0, 20)]], /cut off/],
    ["it has a length that no block has", 0, [[stream, new Uint8Array(12).fill(255)]], /at most/],
    [
      "another stream's",
      0,
      [[jsonBlock("stream", { stream: "t", logId, ...times, config, map: [range], opened: [0] })]],
      /stream 't'/,
    ],
    ["a stream is empty", 0, [[]], /does not begin with the stream/],
    ["a stream's page has a chunk", 0, [[stream, chunk]], /a chunk block/],
    ["a place is empty", 1, [[]], /it is empty/],
    ["a place begins in the middle", 1, [[lanes]], /out of order/],
    ["a place is another group's", 1, [[jsonBlock("place", { group: "h", partition: 0, ...at })]], /group 'h'/],
    ["a place is of another partition", 1, [[jsonBlock("place", { group: "g", partition: 1, ...at })]], /partition 1/],
    [
      "a place has ranges that are none",
      1,
      [[jsonBlock("place", { group: "g", partition: 0, ...at, done: "gA==" })]],
      /done/,
    ],
    ["keys do not end where they say", 2, [[keys], "b"], /the key that it names/],
    ["keys are something else", 2, [[producers]], /block of keys/],
    ["a state has no marks", 3, [[producers]], /does not begin with the marks/],
    ["a state has not all producers", 3, [[marks]], /0 of 1 producers/],
    [
      "a state is another partition's",
      3,
      [[jsonBlock("marks", { ...state, partition: 1, erasures: [] })]],
      /partition 1/,
    ],
    ["records do not say where they end", 4, [[chunk]], /does not go on from offset 0/],
    ["records go backwards", 4, [[chunk], "0"], /does not go on from offset 0/],
    ["records go beyond the tail", 4, [[chunk], "2"], /does not go on from offset 0, but from '2'/],
    ["records are missing", 4, [[], "1"], /its chunks end at offset 0, and it says 1/],
    [
      "records begin too late",
      4,
      [[chunkBlock({ ...row, base: 1, next: 2, body: Uint8Array.of(0) })], "1"],
      /chunk at offset 0 is missing/,
    ],
    ["records are something else", 4, [[keys], "1"], /a keys block/],
  ];

  test.each(wrong)("%s: is asked for again", async (_, at, page) => {
    const { asked, remote } = remoteOf(...pages.toSpliced(at, 0, page, page).map(answer));
    expect(await all(remote)).toEqual(whole);
    expect(asked).toHaveLength(7);
    expect(asked[at]).toBe(asked[at + 2]);
  });

  test.each(wrong)("%s: is named where it stays so", async (_, at, page, says) => {
    const { asked, remote } = remoteOf(
      ...pages.slice(0, at).map(answer),
      ...Array.from({ length: 9 }, () => answer(page)),
    );
    await expect(all(remote)).rejects.toMatchObject({ code: "network", message: expect.stringMatching(says) });
    await expect(
      all(remoteOf(...pages.slice(0, at).map(answer), ...Array.from({ length: 9 }, () => answer(page))).remote),
    ).rejects.toThrow(/^the answer to GET \/streams\/s\/.*dump is not what was asked for: /);
    expect(asked).toHaveLength(at + 4);
  });

  test("a lane of a key that began again between two pages is left out", async () => {
    const lane = (id: number, key: string) => ({
      id,
      kind: "key",
      key,
      start: id,
      state: "open",
      attempts: 0,
      due: 0,
      tries: "[]",
      redriven: 0,
    });
    const first: Answered = [[place, jsonBlock("lanes", [lane(1, "a"), lane(2, "b")])], "lane:2"];
    const second: Answered = [[jsonBlock("lanes", [lane(3, "a"), lane(4, "c")])]];
    const { remote } = remoteOf(...pages.toSpliced(1, 1, first, second).map(answer));
    const found: unknown[] = [];
    const outline = new Outline(undefined, false);
    expect(outline.add(block(jsonBlock("namespace", { namespace: "n" }))).ok).toBe(true);
    for await (const bytes of streamBlocks(remote, "s")) {
      const one = block(bytes);
      expect(outline.add(one)).toMatchObject({ ok: true });
      if (one.name === "lanes") found.push(...(jsonIn(one) as { id: number }[]).map(({ id }) => id));
    }
    expect(found).toEqual([1, 2, 4]);
  });
  const block = (bytes: Uint8Array) => {
    const read = readBlock(bytes, 0, bytes.length);
    return read.ok ? read.value : expect.unreachable();
  };
});
