/** The end of a script: the store is well, and everything that was promised for some time later is looked at. */

import { snapshotsAreThere } from "./changes.ts";
import { removed } from "./copying.ts";
import { receipts } from "./forgetting.ts";
import { drained } from "./group.ts";
import { look } from "./look.ts";
import type { Query } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { settle, verify } from "./store.ts";

const usual = { partition: null, limit: 50, share: 0.5, accept: "json" } as const;
const queries: readonly Query[] = (["forward", "backward", "key", "time"] as const).map((by) => ({ ...usual, by }));

export async function ended(run: ScriptRun): Promise<void> {
  run.ail(undefined);
  await settle(run);
  for (const [on, log] of run.logs.entries()) {
    await receipts(run, log);
    await look(run, { do: "look", queries, on });
    await drained(run, log);
    await snapshotsAreThere(run, log);
  }
  await settle(run);
  for (const [on, log] of run.logs.entries()) {
    await verify(run, { on });
    await removed(run, log);
  }
}
