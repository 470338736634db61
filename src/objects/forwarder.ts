/** Sends dead letters to the stream that the group names for them: each once, whatever crashes in between. */

import { active, routeHash } from "../catalog/map.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Letter } from "../delivery/letters.ts";
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import { flags, readHeader } from "../log/frame.ts";
import { inspect } from "../log/inspect.ts";
import { decodeRecord, FrameWriter } from "../log/record.ts";
import { catalog, type Env, partition } from "./stubs.ts";

const atOnce = 32;
const retryMs = 5_000;

export class Forwarder {
  /** Not before this, in ms since 1970. */
  notBefore = 0;
  #running = false;

  constructor(
    readonly env: Env,
    readonly core: Delivery,
  ) {}

  async run(): Promise<void> {
    const { letters, spec } = this.core.state;
    const name = spec.config.deadLetterStream;
    if (this.#running || letters.forwarding === 0 || name === null || Date.now() < this.notBefore) return;
    this.#running = true;
    try {
      for (const letter of letters.toForward(atOnce)) {
        await this.#send(name, letter, letter.number);
        letters.forwarded(letter.offset);
      }
    } catch (error) {
      this.notBefore = Date.now() + retryMs;
      console.error("dead-letter stream:", (error as Error).message);
    } finally {
      this.#running = false;
    }
  }

  /** As an idempotent producer of its own, so that a repeat is a duplicate. */
  async #send(name: string, letter: Letter, number: number): Promise<void> {
    const { namespace, groupId, partition: from, stream, group } = this.core.state.spec;
    const record = decodeRecord(letter.body, 0, letter.body.length);
    const { offset: _offset, timestamp: _timestamp, ...rest } = record;
    const writer = new FrameWriter();
    writer.add({
      ...rest,
      extensions: {
        ...record.extensions,
        deadletterstream: stream,
        deadlettergroup: group,
        deadletterpartition: from,
        deadletteroffset: String(letter.offset),
        deadletterreason: letter.reason,
        deadletterattempts: letter.attempts,
      },
    });
    const [bytes] = writer.finish(letter.checked ? flags.checked : 0);
    const frame = readHeader(bytes, 0);
    if (!frame.ok) throw new Error(frame.refusal.detail);
    const rules = { recordBytesMax: bytes.length, ownOffsets: false, ownTimestamps: false, timestampMax: 0 };
    const inspected = inspect(frame.value, rules);
    if (!inspected.ok) throw new Error(inspected.refusal.detail);
    const { hashes } = inspected.value;
    const producer = { id: `dead-letters/${groupId}/${from}`, epoch: 0, sequence: number, contiguous: false };
    let target = await catalog(this.env, namespace).stream(name);
    for (let attempt = 0; attempt < 4; attempt++) {
      if (!target.ok) throw new Error(target.refusal.detail);
      const { logId, map, version, config } = target.value;
      const ranges = active(map).sort((a, b) => a.from - b.from);
      const hash = letter.key === undefined ? Number(letter.offset) % 2 ** 32 : murmur3(encodeText(letter.key));
      const number = routeHash(ranges, hash).partition;
      const stub = partition(this.env, logId, number, config.placement);
      const said = await stub.append(version, bytes, Uint32Array.from([hashes.length, ...hashes]), { producer });
      if (typeof said === "number" || said.ok) return;
      if (!("moved" in said)) throw new Error(said.refusal.detail);
      target = await catalog(this.env, namespace).open(name, number);
    }
    throw new Error(`the stream '${name}' is being moved`);
  }
}
