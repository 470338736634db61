/** Places of groups that lie: what is taken can be worked with, and what is not is refused with a problem. */

import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Result } from "../../schemas/errors.ts";
import {
  type Block,
  jsonBlock,
  letterBlock,
  readBlocks,
  readJson,
  readLetter,
  writeBlock,
} from "../../src/archive/dump.ts";
import { concat } from "../../src/lib/bytes.ts";
import { type Got, Group, newGroup, streams } from "./group.ts";
import { type Answer, type Service, service } from "./service.ts";

const type = { "content-type": "application/vnd.millrace.dump" };
let millrace: Service;
let group: Group;
let [stream, partition, place]: readonly Block[][] = [];

const dumped = async (path: string): Promise<Block[]> => {
  const answer = await fetch(`${millrace.url}${path}`, { headers: { authorization: "Bearer test-token" } });
  expect(answer.status, path).toBe(200);
  const read = readBlocks(new Uint8Array(await answer.arrayBuffer()));
  return read.ok ? read.value : expect.unreachable("a dump is readable");
};
const post = (path: string, block: Uint8Array) => millrace.call("POST", path, block as Uint8Array<ArrayBuffer>, type);
const whole = ({ name, payload }: Block) => writeBlock(name, payload);

/** A group with a key that waits, one that stands behind its dead letter, and records that were acked out of order. */
beforeAll(async () => {
  millrace = await service();
  group = await newGroup(millrace, { maxDeliveries: 2, backoff: [0], onFailure: "park" });
  await group.append("a1", "b1", "c1", "-1", "a2", "c2", "d1", "e1", "b2");
  const first = await group.receive();
  const of = (got: Got[], keys: string) => got.filter(({ data }) => keys.includes(String(data)[0]));
  await group.ack(...of(first, "ce"));
  for (const got of of(first, "a-")) await group.nack(got);
  const second = await group.receive();
  for (const got of of(second, "a-")) await group.nack(got);
  await group.ack(...of(second, "c"));
  for (const got of of(first, "b")) await group.nack(got, { delayMs: 600_000 });
  stream = await dumped(`${group.stream}/dump`);
  partition = [
    ...(await dumped(`${group.stream}/partitions/0/dump?part=state`)),
    ...(await dumped(`${group.stream}/partitions/0/dump`)),
  ];
  place = await dumped(`${group.path}/dump?partition=0`);
  expect(place.map(({ name }) => name)).toEqual(["place", "lanes", "letter", "letter"]);
});
afterAll(() => millrace.end());

/** Values that somebody might write into any field. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    -1,
    0,
    1,
    2,
    3,
    4,
    7,
    9,
    10,
    1e6,
    2 ** 32,
    2 ** 53 - 1,
    2 ** 53,
    0.5,
    null,
    "",
    "a",
    "b",
    true,
  ),
  fc.constantFrom<unknown>(
    [],
    {},
    "[]",
    "{}",
    "[1]",
    '[{"attempt":1}]',
    '{"reason":"because","at":1}',
    "AA==",
    "AQE=",
    "/w==",
  ),
  fc.constantFrom<unknown>(
    "open",
    "retry",
    "parked",
    "held",
    "key",
    "single",
    "whole",
    "dead",
    "redriven",
    "holding",
    "done",
  ),
  fc.base64String({ maxLength: 24 }),
);
const lie = fc.record({ block: fc.nat(), row: fc.nat(), field: fc.nat(), value: odd, twice: fc.boolean() });

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.refusal.detail);
  return result.value;
}

/** The place with some of its fields changed, or with a row that is there twice. */
function lying(lies: readonly (typeof lie extends fc.Arbitrary<infer T> ? T : never)[]): Uint8Array[] {
  const parts = place.map(({ name, payload }) => {
    const letter = name === "letter" ? readLetter(payload) : undefined;
    const json = letter === undefined ? readJson(payload) : letter;
    if (!json.ok) throw new Error("a dump is readable");
    const rows = [letter?.ok ? letter.value.letter : json.value].flat() as Record<string, unknown>[];
    return { name, rows, body: letter?.ok ? letter.value.body : undefined };
  });
  for (const { block, row, field, value, twice } of lies) {
    const { name, rows } = parts[block % parts.length];
    const one = { ...rows[row % rows.length] };
    const fields = Object.keys(one);
    one[fields[field % fields.length]] = value;
    if (twice && name === "lanes") rows.push(one);
    else rows[row % rows.length] = one;
  }
  const settled = { group: group.name, partition: 0, lanes: parts[1].rows.length, letters: 2 };
  return [
    ...parts.map(({ name, rows, body }) =>
      body === undefined ? jsonBlock(name, name === "lanes" ? rows : rows[0]) : letterBlock(rows[0], body),
    ),
    jsonBlock("settled", settled),
  ];
}

/** Answers that say what is wrong, and never that something broke. */
async function sound(asked: Promise<Answer>): Promise<Answer> {
  const answer = await asked;
  expect(answer.status, answer.text).toBeLessThan(500);
  return answer;
}

test("a place that lies is refused, or can be worked with", async () => {
  let [taken, refused] = [0, 0];
  let number = 0;
  const fields = Object.keys(value(readJson(place[0].payload)) as object);
  // Every field of the place is just beyond what there is, once.
  const large = fields.map((_, field) => [{ block: 0, row: 0, field, value: 10, twice: false }]);
  const runs = [...large, ...fc.sample(fc.array(lie, { minLength: 1, maxLength: 2 }), 120)];
  for (const lies of runs) {
    const name = `copy-${number++}`;
    const path = `${streams}/${name}`;
    const hash = number.toString(16).padStart(64, "0");
    const [head, ofGroup] = stream;
    expect((await post(`${path}/restore?newId=true&dump=${hash}`, whole(head))).status).toBe(201);
    const records = concat([...partition.map(whole), jsonBlock("close", { partition: 0, chunks: 1, records: 9 })]);
    expect((await post(`${path}/partitions/0/restore`, records)).status).toBe(200);
    expect((await post(`${path}/groups/${group.name}/restore?newId=true`, whole(ofGroup))).status).toBe(200);
    const answer = await sound(post(`${path}/groups/${group.name}/restore?partition=0`, concat(lying(lies))));
    if (answer.status !== 200) {
      refused++;
      expect(answer.json.code, answer.text).toMatch(/^(bad-dump|invalid|restore-gap)$/);
      continue;
    }
    taken++;
    expect(answer.json).toMatchObject({ complete: true });
    expect((await post(`${path}/restore/finish`, new Uint8Array())).status).toBe(200);
    await work(new Group(millrace, path, group.name));
  }
  expect(taken).toBeGreaterThan(3);
  expect(refused).toBeGreaterThan(3);
});

/** Does with a group what can be done. */
async function work(copy: Group): Promise<void> {
  await copy.append("a3", "z1");
  for (const rest of ["/status", "/dead-letters", "/lanes", "/attempts"]) await sound(copy.get(rest));
  await sound(copy.post("resume"));
  await sound(copy.post("dead-letters/redrive", { all: true }));
  for (let left = 12; left > 0; left--) {
    const answer = await sound(copy.post("receive"));
    if (answer.json.deliveries.length === 0) break;
    const receipts = answer.json.deliveries.map(({ receipt }: Got) => receipt);
    await sound(copy.post("ack", { receipts }));
  }
  await sound(copy.get("/status"));
  await sound(copy.post("seek", { to: "earliest" }));
  expect((await sound(copy.post("receive"))).json.deliveries.length).toBeGreaterThan(0);
}
