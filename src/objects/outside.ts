/** Whom a partition's past concerns: its groups, and those who want to know of its segments. */
import type { Target } from "../../schemas/erasure.ts";
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import type { SegmentEvent } from "../log/notice.ts";
import { kinds } from "../log/record.ts";
import type { Spec } from "../log/spec.ts";
import type { Followers } from "./followers.ts";
import type { Outside } from "./history.ts";
import { send } from "./sending.ts";
import type { Env } from "./stubs.ts";

export class Around implements Outside {
  constructor(
    readonly env: Env,
    readonly followers: Followers,
  ) {}

  floor(): Promise<number> {
    return this.followers.floor();
  }

  forget(target: Target, to: number, last: boolean): Promise<void> {
    return this.followers.forget(target, to, last);
  }

  async tell(stream: string, n: number, body: string, { logId, partition, names }: Spec): Promise<void> {
    if (names === undefined) return;
    const event = JSON.parse(body) as SegmentEvent;
    // A queue delivers at least once; its consumers know a repeat by the id.
    const id = `${logId}.${partition}.${n}`;
    await this.env.SEGMENT_EVENTS?.send({ id, ...event });
    const key = `${names.stream}/${partition}`;
    await send(this.env, {
      namespace: names.namespace,
      stream,
      record: {
        key,
        id,
        source: `/v1/${names.namespace}/streams/${names.stream}`,
        type: `millrace.segment.${event.event}`,
        subject: key,
        time: event.time,
        kind: kinds.json,
        data: encodeText(body),
      },
      checked: true,
      hash: murmur3(encodeText(key)),
      producer: { id: `segments/${logId}/${partition}`, epoch: 0, sequence: n, contiguous: false },
    });
  }
}
