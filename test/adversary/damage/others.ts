/** A member of a group, and whoever dumps: they read too, each in a way of his own. */
import { crc32c } from "@aws-crypto/crc32c";
import { Violation } from "../frame/checks.ts";
import { unpacked } from "../frame/packed.ts";
import { elements, members } from "../log/json-text.ts";
import { fromFrame, type Read, readRecord } from "../log/read.ts";
import type { Reading, Seen } from "./readers.ts";
import type { Stored, Truth } from "./stored.ts";

const memberMs = 30_000;
let groups = 0;

/** Takes and finishes everything, until all of it is told of. */
export async function member({ round, stream, reader, answersMax }: Reading, seen: Seen): Promise<void> {
  const path = `${stream.path}/groups/g${groups++}`;
  await round.must("PUT", path, { body: { start: "earliest" } });
  const left = expectedBy(stream);
  const end = performance.now() + round.patient(memberMs);
  let ack: string[] = [];
  for (let answers = 0; answers < answersMax && performance.now() < end; answers++) {
    // At the end once more: what was told is not told again.
    const body = { max: reader.window, waitSeconds: left.size > 0 ? 1 : 0, ack };
    const answer = await round.ask("POST", `${path}/receive`, { body });
    const refused = () => `a receive was answered ${answer.status}: ${answer.body.toString().slice(0, 500)}`;
    round.checks.that("served", answer.status === 200, refused, [stream.name]);
    const deliveries = elements(members(answer.body.toString().trim()).get("deliveries") as string).map(delivery);
    ack = deliveries.map(({ receipt }) => receipt);
    seen.records.push(...deliveries.map(({ record }) => record));
    const lost = answer.json.lost ?? [];
    seen.tell(lost, null);
    const last = left.size === 0;
    for (const { record } of deliveries) left.delete(`${record.partition}.${record.offset}`);
    for (const { partition, from, to } of lost) {
      for (let offset = from; offset < Math.min(to, from + 1e5); offset++) left.delete(`${partition}.${offset}`);
    }
    if (last && ack.length === 0) {
      seen.ended = true;
      return;
    }
  }
}

/** Every place of which something has to be told. */
function expectedBy({ truths, holes }: Stored): Set<string> {
  const isHole = (partition: number, offset: number) =>
    holes.some((hole) => hole.partition === partition && offset >= hole.from && offset < hole.to);
  return new Set(
    truths.flatMap(({ partition, records }) =>
      [...records.keys()].filter((one) => !isHole(partition, one)).map((one) => `${partition}.${one}`),
    ),
  );
}

function delivery(text: string): { receipt: string; record: Read } {
  const record = readRecord(text, false);
  const { receipt, attempt, deliveryId, ...fields } = record.fields as Record<string, unknown>;
  return { receipt: receipt as string, record: { ...record, fields } };
}

const types = { chunk: 12 } as const;
const blockHead = 12;
const chunkHead = 48;

/**
 * Goes over the chunks of a partition. A request is refused where something in it cannot be dumped: then it asks offset by
 * offset, until it is behind that.
 */
export async function dumped(reading: Reading, seen: Seen): Promise<void> {
  const { round, stream, reader, answersMax } = reading;
  const partition = reader.partition as number;
  const { tail } = stream.truths.find((truth) => truth.partition === partition) as Truth;
  let from = reading.from === "earliest" ? 0 : Number(reading.from);
  let narrow = false;
  for (let answers = 0; answers < answersMax && from < tail; answers++) {
    const to = narrow ? from + 1 : tail;
    const path = `${stream.path}/partitions/${partition}/dump?from=${from}&to=${to}`;
    const answer = await round.call("GET", `/v1/${round.name}${path}`);
    const damaged = answer.status === 503 && answer.json?.code === "damaged";
    if (damaged && narrow) seen.told.push({ partition, from, to });
    if (damaged) {
      if (narrow) from = to;
      narrow = !narrow;
      continue;
    }
    const refused = () => `GET ${path} was answered ${answer.status}: ${answer.body.toString().slice(0, 500)}`;
    round.checks.that("served", answer.status === 200, refused, [stream.name]);
    seen.records.push(...recordsOf(answer.body, partition, stream.name));
    const next = answer.headers["millrace-next"];
    from = next === undefined ? to : Number(decodeURIComponent(String(next)));
  }
  seen.ended = from >= tail;
}

function recordsOf(bytes: Buffer, partition: number, name: string): Read[] {
  const found: Read[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + blockHead + bytes.readUInt32LE(at + 8);
    const block = bytes.subarray(at, end);
    if (crc32c(block.subarray(4)) !== block.readUInt32LE(0)) {
      throw new Violation("well-formed", `a block of a dump has a wrong checksum at byte ${at}`, [name]);
    }
    const payload = block.subarray(blockHead);
    if (block.readUInt32LE(4) === types.chunk) {
      const body = payload.subarray(chunkHead + payload.readUInt32LE(44));
      found.push(...unpacked(body).records.map((record) => fromFrame(record, partition)));
    }
    at = end;
  }
  return found;
}
