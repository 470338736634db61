/** Sends dead letters to the stream that the group names for them: each once, whatever crashes in between. */
import { limits } from "../../schemas/limits.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Letter } from "../delivery/letters.ts";
import type { DeliverySpec } from "../delivery/spec.ts";
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import { decodeRecord } from "../log/record.ts";
import { send } from "./sending.ts";
import type { Env } from "./stubs.ts";

const atOnce = 32;
const retryMs = 5_000;

/** Of a member's, or the network's: any text. What an attribute may not hold is left blank. */
const reasonOf = ({ reason }: Letter) =>
  reason
    .slice(0, limits.reasonBytesMax)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Noncharacter_Code_Point}]/gu, " ");

/** Where letters go. What was restored tells nobody before it is resumed. */
const nameOf = ({ restored, config }: DeliverySpec) => (restored ? null : config.deadLetterStream);

export class Forwarder {
  /** Not before this, in ms since 1970. */
  #notBefore = 0;
  #running = false;

  constructor(
    readonly env: Env,
    readonly core: Delivery,
    /** The group is gone. */
    readonly stopped: () => boolean,
  ) {}

  /** When there is something to send, in ms since 1970; what is on its way is looked after. */
  get dueAt(): number {
    const { letters, spec } = this.core.state;
    if (letters.forwarding === 0 || nameOf(spec) === null) return Number.POSITIVE_INFINITY;
    return this.#running ? Date.now() + retryMs : this.#notBefore;
  }

  async run(): Promise<void> {
    const { letters, spec } = this.core.state;
    const name = nameOf(spec);
    if (this.#running || letters.forwarding === 0 || name === null || Date.now() < this.#notBefore) return;
    const sent: number[] = [];
    this.#running = true;
    try {
      // A number that was told must be no other letter's after a crash.
      this.core.state.save();
      for (const letter of letters.toForward(atOnce)) {
        // It was discarded, or forgotten, while others were sent.
        if (this.stopped() || !letters.awaits(letter.number)) continue;
        await this.#send(name, letter, letter.number);
        sent.push(letter.offset);
      }
    } catch (error) {
      this.#notBefore = Date.now() + retryMs;
      console.error("dead-letter stream:", (error as Error).message);
    } finally {
      this.#running = false;
      if (!this.stopped()) {
        letters.forwarded(sent);
        this.core.state.save();
      }
    }
  }

  /** As an idempotent producer of its own, so that a repeat is a duplicate. */
  async #send(name: string, letter: Letter, number: number): Promise<void> {
    const { namespace, groupId, partition: from, stream, group } = this.core.state.spec;
    const record = decodeRecord(letter.body, 0, letter.body.length);
    const { offset: _offset, timestamp: _timestamp, ...rest } = record;
    const extensions = {
      ...record.extensions,
      deadletterstream: stream,
      deadlettergroup: group,
      deadletterpartition: from,
      deadletteroffset: String(letter.offset),
      deadletterreason: reasonOf(letter),
      deadletterattempts: letter.attempts,
    };
    await send(this.env, {
      namespace,
      stream: name,
      record: { ...rest, extensions },
      checked: letter.checked,
      // The key is the record's: a group that is not in order by key knows of none.
      hash: record.key === undefined ? letter.offset % 2 ** 32 : murmur3(encodeText(record.key)),
      producer: { id: `dead-letters/${groupId}/${from}`, epoch: 0, sequence: number, contiguous: false },
    });
  }
}
