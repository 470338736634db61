/** Freeing what is left of a stream, or of a group, that was deleted. */
import type { Job } from "../catalog/store.ts";
import { delivery, type Env, partition } from "./stubs.ts";

/** Has a partition, or a delivery, freed. Fails where it is to be tried again. */
export async function free(env: Env, namespace: string, { id, partition: number, attempts }: Job): Promise<void> {
  const [logId, groupId] = id.split("/");
  if (groupId === undefined) {
    while (!(await partition(env, logId, number, undefined).destroy(logId, number, namespace))) {
      // Somebody may wait for the first attempt; later ones go on until there is nothing left.
      if (attempts === 0) throw new Error("the partition has more objects");
    }
    return;
  }
  await delivery(env, id, number).destroy(groupId, namespace);
  await partition(env, logId, number, undefined).unfollow(id);
}
