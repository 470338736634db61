/** Appending a record of the house's own to a stream of the namespace, as an idempotent producer: its number alone tells a repeat. */
import { active, routeHash } from "../catalog/map.ts";
import { flags, readHeader } from "../log/frame.ts";
import { inspect } from "../log/inspect.ts";
import { FrameWriter, type Rec } from "../log/record.ts";
import type { ProducerTerms } from "../log/sequence.ts";
import { catalog, type Env, partition } from "./stubs.ts";

/** What is sent, and where. */
export interface Sent {
  readonly namespace: string;
  readonly stream: string;
  readonly record: Rec;
  /** Its data are known to be what their kind says. */
  readonly checked: boolean;
  /** Where it belongs among the stream's partitions. */
  readonly hash: number;
  readonly producer: ProducerTerms;
}

const attemptsMax = 4;

/** Throws where it could not be appended; it may have been. */
export async function send(env: Env, { namespace, stream, record, checked, hash, producer }: Sent): Promise<void> {
  const writer = new FrameWriter();
  writer.add(record);
  const [bytes] = writer.finish(checked ? flags.checked : 0);
  const frame = readHeader(bytes, 0);
  if (!frame.ok) throw new Error(frame.refusal.detail);
  const rules = { recordBytesMax: bytes.length, ownOffsets: false, ownTimestamps: false, timestampMax: 0 };
  // What is the house's own may say what no client's may.
  const inspected = inspect(frame.value, { ...rules, stored: true });
  if (!inspected.ok) throw new Error(inspected.refusal.detail);
  const { hashes } = inspected.value;
  // Ids are their producers': several senders may have a record of one id to send, and each is to be there.
  const terms = { producer: { ...producer, alone: true } };
  let target = await catalog(env, namespace).stream(stream);
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (!target.ok) throw new Error(target.refusal.detail);
    const { logId, map, version, config } = target.value;
    const ranges = active(map).sort((a, b) => a.from - b.from);
    const number = routeHash(ranges, hash).partition;
    const stub = partition(env, logId, number, config.placement);
    const said = await stub.append(version, bytes, Uint32Array.from([hashes.length, ...hashes]), terms);
    if (typeof said === "number" || said.ok) return;
    // Numbers are sent one after another: one below those that are remembered has been there.
    if (!("moved" in said) && said.refusal.code === "sequence-stale") return;
    if (!("moved" in said)) throw new Error(said.refusal.detail);
    target = await catalog(env, namespace).open(stream, number);
  }
  throw new Error(`the stream '${stream}' is being moved`);
}
