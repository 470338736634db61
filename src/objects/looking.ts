/** What a delivery learns of its log for a status alone. */
import type { LostRange } from "../../schemas/erasure.ts";
import { partsLost } from "../archive/repair.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { itemsOf } from "../delivery/page.ts";
import { Ranges } from "../delivery/ranges.ts";
import { readThrough } from "./cold.ts";
import type { PartitionRpc } from "./rpc.ts";
import { archiveReader, type Env, partition } from "./stubs.ts";

/** Who looks. */
interface Looking {
  readonly env: Env;
  readonly core: Delivery;
  readonly filler: { learnLanes(): Promise<void> };
  readonly stopped: boolean;
}

/** Where the log has come to, what of it is no record any more, and how old the first record is that was not read. */
export async function look(looking: Looking): Promise<void> {
  const { env, filler } = looking;
  const { state, reader } = looking.core;
  const { logId, partition: number } = state.spec;
  const stub = () => partition(env, logId, number, undefined);
  state.unread = undefined;
  await filler.learnLanes();
  const from = { at: "offset", offset: state.done.gapFrom(state.cursor) } as const;
  const terms = { from, limit: 1, bytesMax: 1, waitMs: 0, filter: reader.filter() };
  const where = { logId, partition: number, blobs: archiveReader(env) };
  const [answer, lost] = await Promise.all([readThrough(where, terms, (call) => stub().read(call)), lostIn(stub())]);
  if (looking.stopped) return;
  state.missing = new Ranges();
  // Of too many ranges some are put together, with records between them.
  for (const { from, to, reason } of lost ?? []) if (reason !== partsLost) state.missing.add(from, to);
  if (!answer.ok) {
    const head = "refusal" in answer && answer.refusal.code === "trimmed" ? Number(answer.refusal.facts?.head) : 0;
    if (head > 0) state.missing.add(0, head);
    return;
  }
  const { pieces, to, tail, sealed } = answer.value;
  reader.learn(tail);
  state.sealed ||= sealed;
  state.unread = itemsOf(pieces, from.offset, to, reader.filter(), false).items[0]?.timestamp;
}

/** What is lost of a partition; undefined where it does not say. */
async function lostIn(partition: PartitionRpc): Promise<readonly LostRange[] | undefined> {
  try {
    const lost = await partition.order("lost");
    return lost.ok ? lost.value : undefined;
  } catch {
    return undefined;
  }
}
