/** What a delivery learns of its log for a status alone. */
import type { LostRange } from "../../schemas/erasure.ts";
import { partsLost } from "../archive/repair.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { FirstUnread } from "../delivery/first-unread.ts";
import { Ranges } from "../delivery/ranges.ts";
import type { Filter } from "../log/filter.ts";
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

/** Pages in which the first record that was not read is looked for: what is damaged goes by the hundred. */
const pagesMax = 8;
const pageRecords = 100;

/** Where the log has come to, what of it is no record any more, and how old the first record is that was not read. */
export async function look(looking: Looking): Promise<void> {
  const { env, filler } = looking;
  const { state, reader } = looking.core;
  const { logId, partition: number } = state.spec;
  const stub = () => partition(env, logId, number, undefined);
  await filler.learnLanes();
  const where = { logId, partition: number, blobs: archiveReader(env) };
  const read = (offset: number, filter: Filter | undefined) => {
    const terms = { from: { at: "offset", offset } as const, limit: pageRecords, bytesMax: 1, waitMs: 0, filter };
    return readThrough(where, terms, (call) => stub().read(call));
  };
  const lost = lostIn(stub());
  const first = new FirstUnread(state, reader.filter());
  for (let page = 0; page < pagesMax && first.from !== undefined; page++) {
    const answer = await read(first.from, first.filter);
    if (looking.stopped) return;
    if (answer.ok) {
      reader.learn(answer.value.tail);
      state.sealed ||= answer.value.sealed;
      first.take(answer.value);
    } else if ("refusal" in answer && answer.refusal.code === "trimmed") {
      first.trimmed(Number(answer.refusal.facts?.head));
    } else break;
  }
  const ranges = (await lost) ?? [];
  if (looking.stopped) return;
  state.missing = new Ranges();
  // Of too many ranges some are put together, with records between them.
  for (const { from, to, reason } of ranges) if (reason !== partsLost) state.missing.add(from, to);
  if (first.head > 0) state.missing.add(0, first.head);
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
