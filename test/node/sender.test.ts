/** What `append` counts of lines that it had to send again: against a service that answers as it is told. */
import { expect, test } from "vitest";
import { Sender } from "../../src/cli/sender.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { kinds } from "../../src/log/record.ts";
import { clientOf } from "../cases/answering.ts";

const record = (id?: string) => ({ kind: kinds.json, data: encodeText("1"), ...(id === undefined ? {} : { id }) });

/** Pushes so many records, each batch of which is answered in turn. */
async function counted(batches: readonly [records: number, answers: readonly (Error | object[])[]][]) {
  const answers = batches.flatMap(([, answers]) => answers);
  const { stream } = clientOf(() => {
    const answer = answers.shift();
    return answer instanceof Error ? answer : Response.json({ runs: answer });
  });
  const counts = { appended: 0, duplicate: 0, rejected: 0 };
  const told = {
    settled: (verdict: "appended" | "duplicate", count: number) => {
      counts[verdict] += count;
    },
    rejected: (lines: readonly number[]) => {
      counts.rejected += lines.length;
    },
  };
  const sender = new Sender(stream, { batchBytesMax: 1_048_576 }, told);
  let line = 0;
  for (const [records] of batches) {
    for (let n = 0; n < records; n++) await sender.push(record(), ++line);
    await sender.end();
    expect(sender.stop).toBeUndefined();
  }
  return counts;
}

const lost = () => new TypeError("the line is cut");
const run = (verdict: string, offset: number, count: number) => ({ verdict, partition: 0, offset, count });

test.each<[string, Parameters<typeof counted>[0], object]>([
  ["at once", [[3, [[run("appended", 7, 3)]]]], { appended: 3, duplicate: 0 }],
  ["at the second try", [[3, [lost(), [run("appended", 7, 3)]]]], { appended: 3, duplicate: 0 }],
  ["though nobody heard it", [[3, [lost(), [run("duplicate", 7, 3)]]]], { appended: 3, duplicate: 0 }],
  ["before by others, with their ids", [[3, [[run("duplicate", 2, 3)]]]], { appended: 0, duplicate: 3 }],
  [
    "in part before, and though nobody heard it",
    [
      [2, [[run("appended", 7, 2)]]],
      [4, [lost(), [run("duplicate", 9, 3), run("duplicate", 5, 1)]]],
    ],
    { appended: 5, duplicate: 1 },
  ],
])("lines that were appended %s", async (_, batches, counts) => {
  expect(await counted(batches)).toMatchObject({ rejected: 0, ...counts });
});
