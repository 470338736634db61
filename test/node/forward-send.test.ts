/** What a forwarder does with a batch whose number the stream takes for a gap: under another name it is there once. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Report } from "../../src/cli/forward/report.ts";
import { Sender } from "../../src/cli/forward/send.ts";
import { State } from "../../src/cli/forward/state.ts";
import { concat, encodeText } from "../../src/lib/bytes.ts";
import { FrameWriter, kinds } from "../../src/log/record.ts";
import { type Asked, clientOf, problem, taken, unpacked } from "../cases/answering.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-send-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function batchOf(count: number): Uint8Array {
  const writer = new FrameWriter();
  for (let n = 0; n < count; n++) writer.add({ kind: kinds.json, data: encodeText(String(n)) });
  return concat(writer.finish(0));
}

let last: State | undefined;
afterEach(() => last?.close());

/** As the one before has left it, whose process is gone. */
function opened(logId = "log-1"): State {
  last?.close();
  last = State.open(folder, { namespace: "default", stream: "s", logId });
  return last;
}

/** Sends what is on its way to a stream that answers appends so, one after another. */
async function sent(state: State, logId: string, answers: readonly ((asked: Asked) => Response | Error)[]) {
  const left = [...answers];
  const { asked, stream } = clientOf((one) => {
    if (one.url.endsWith("/streams/s")) return Response.json({ stream: "s", logId, config: {} });
    return left.shift()?.(one) ?? new Error("nothing more was to be asked");
  });
  const said: string[] = [];
  const sender = new Sender(
    stream,
    state,
    new Report(false, (line) => said.push(line)),
    new AbortController().signal,
    () => {},
  );
  const ended = await sender.send().catch((error: Error) => error);
  const appends = asked.filter(({ url }) => url.endsWith("/records"));
  const numbers = appends.map(({ headers }) => `${headers["producer-id"]} ${headers["producer-seq"]}`);
  return { ended, said, numbers, data: appends.map((one) => unpacked(one).data), appended: sender.appended };
}

const gap = () => problem(409, "sequence-gap", { expected: 0 });
const append = (asked: Asked) => taken(asked, 7);
/** A batch has gone before, so that the number of the next one is 1. */
function begun(count: number): State {
  const state = opened();
  state.begin(batchOf(1), {});
  state.done(true);
  state.begin(batchOf(count), {});
  expect(state.producer.sequence).toBe(1);
  return state;
}

test.each([
  ["log-1", "does not know the last batch, which may be lost"],
  ["log-2", "was made anew"],
])("a batch goes under another name, once, and what may be missing is told: %s", async (logId, told) => {
  const state = begun(3);
  const { id } = state.producer;
  const { ended, said, numbers, data, appended } = await sent(state, logId, [gap, append]);
  expect(ended).toBeUndefined();
  expect(said).toEqual([
    expect.stringContaining(`the stream 's' ${told}; what was forwarded before is not sent again`),
  ]);
  expect(numbers).toEqual([`${id} 1`, expect.stringMatching(/ 0$/)]);
  expect(numbers[1]).not.toContain(id);
  expect(data).toEqual([
    [0, 1, 2],
    [0, 1, 2],
  ]);
  expect(appended).toBe(3);
  state.settle();
  // So it is written down: the next batch goes on under the name.
  const after = opened(logId);
  expect(after.pending).toBeUndefined();
  expect(`${after.producer.id} ${after.producer.sequence}`).toBe(numbers[1].replace(/0$/, "1"));
});

test("who dies behind the gap sends the batch under the new name, and not under a third", async () => {
  const state = begun(3);
  const { ended, numbers } = await sent(state, "log-1", [gap, () => problem(400, "invalid")]);
  expect(ended).toMatchObject({ code: "invalid" });
  const again = await sent(opened(), "log-1", [append]);
  expect(again).toMatchObject({ said: [], numbers: [numbers[1]], data: [[0, 1, 2]], appended: 3 });
});

test("of a batch that goes in parts, the part goes under the new name, and those behind it", async () => {
  const state = begun(4);
  const large = () => problem(413, "body-too-large");
  const { numbers, data, appended } = await sent(state, "log-1", [large, gap, append, append]);
  expect(data).toEqual([
    [0, 1, 2, 3],
    [0, 1],
    [0, 1],
    [2, 3],
  ]);
  expect(numbers[1]).toBe(numbers[0]);
  expect(numbers.slice(2)).toEqual([expect.stringMatching(/ 0$/), numbers[2].replace(/0$/, "1")]);
  expect(appended).toBe(4);
  state.settle();
  expect(opened().pending).toBeUndefined();
});

test("a service of an older release that refuses what it took unheard is not sent the parts of it", async () => {
  const state = begun(4);
  const large = () => problem(413, "body-too-large");
  const conflict = () => problem(409, "sequence-conflict");
  const unheard = () => new TypeError("fetch failed");
  const first = await sent(state, "log-1", [unheard, large, conflict]);
  expect(first).toMatchObject({ ended: undefined, said: [expect.stringContaining("fetch failed")], appended: 4 });
  expect(first.data.map((data) => data.length)).toEqual([4, 4, 2]);
  expect(new Set(first.numbers).size).toBe(1);
  state.settle();
  const after = opened();
  expect([after.pending, after.producer.sequence]).toEqual([undefined, 2]);
});
