/** Freeing what is left of a stream, or of a group, that was deleted. */
import type { Job } from "../catalog/store.ts";
import { delivery, type Env, partition } from "./stubs.ts";

/** How often a partition is asked to go on, some ten thousand objects at a time, before others have their turn. */
const roundsMax = 16;

/** Has a partition, or a delivery, freed. Fails where it is to be tried again. */
export async function free(env: Env, namespace: string, { id, partition: number, attempts }: Job): Promise<void> {
  const [logId, groupId] = id.split("/");
  if (groupId === undefined) {
    // Somebody may wait for the first attempt.
    for (let rounds = attempts === 0 ? 1 : roundsMax; rounds > 0; rounds--) {
      if (await partition(env, logId, number, undefined).destroy(logId, number, namespace)) return;
    }
    throw new Error("the partition has more objects");
  }
  await delivery(env, id, number).destroy(groupId, namespace);
  await partition(env, logId, number, undefined).unfollow(id);
}
