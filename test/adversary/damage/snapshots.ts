/** A snapshot is what was stored, or it is not served. */
import type { Stored } from "./stored.ts";
import type { Struck } from "./strike.ts";

export async function readSnapshots(stream: Stored, struck: readonly Struck[]): Promise<void> {
  const { round } = stream;
  for (const [partition, { offset, body }] of stream.snapshots) {
    const hit = struck.some((one) => one.snapshot && one.partition === partition);
    for (const name of [String(offset), "latest"]) {
      const path = `/v1/${round.name}${stream.path}/snapshots/${name}?partition=${partition}`;
      const answer = await round.call("GET", path).catch((error: Error) => error);
      // A body that does not come to its end says so too.
      const kept = answer instanceof Error ? hit : answer.status === 200 ? answer.body.equals(body) : hit;
      const words = () =>
        answer instanceof Error ? answer.message : `${answer.status} ${answer.body.toString().slice(0, 200)}`;
      round.checks.that(
        "snapshot",
        kept,
        () => `${stream.name}: the snapshot ${name} of ${partition} is answered ${words()}`,
        [stream.name],
      );
    }
  }
}
