/** A round of the doors program: everything in, and out again by every way. */
import { Violation } from "../frame/checks.ts";
import { Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { again } from "./again.ts";
import { oddBodies } from "./bodies.ts";
import { chosen } from "./choosing.ts";
import { tryElsewhere } from "./elsewhere.ts";
import { Feed, type Kept, type Store } from "./feed.ts";
import { events, socket, socketFrames } from "./following.ts";
import { lanes, letters } from "./letters.ts";
import type { DoorsPlan, Out } from "./plan.ts";
import { pushed } from "./pushed.ts";
import { filtered, frames, lines, pages, whole } from "./reading.ts";
import { limitsKnown } from "./rules.ts";
import { groupSocket, received } from "./taking.ts";

/** Odd values of each field by which is filtered: by reads, and by groups and sockets, which cost more. */
const filtersMax = 60;
const chosenMax = 8;

/** A way out that does not end is the service's fault or ours; the round's bound ends it. */
const walks: Readonly<Record<string, (store: Store, plan: DoorsPlan) => Promise<void>>> = {
  page: (store) => pages(store),
  lines,
  whole,
  frames: (store, { partitions }) => frames(store, partitions),
  keys: (store) => filtered(store, filtersMax),
  events,
  socket,
  "socket-frames": socketFrames,
  receive: received,
  "group-socket": groupSocket,
  letters: (store, { elsewhere }) => letters(store, elsewhere),
  lanes,
  chosen: (store) => chosen(store, chosenMax),
  "push-binary": (store) => pushed(store, "binary"),
  "push-structured": (store) => pushed(store, "structured"),
  "push-batch": (store) => pushed(store, "batch"),
};

export async function runDoors(plan: DoorsPlan, round: Round): Promise<void> {
  await limitsAreKnown(round);
  const store: Store = { round, path: `/v1/${round.name}/streams/doors`, byPlace: new Map<string, Kept>() };
  const body = { partitions: plan.partitions, deduplicationWindowMs: 3_600_000 };
  await round.must("PUT", "/streams/doors", { body });
  await new Feed(store).run(plan.drafts);
  if (plan.elsewhere.length > 0) await tryElsewhere(store, plan.elsewhere);
  for (const [i, out] of plan.outs.entries()) {
    for (const { before, how } of plan.kills) if (before === i) await round.kill(how);
    await walk(out, store, plan);
  }
  if (plan.again) await again(store);
  if (plan.bodies) await oddBodies(store);
}

async function walk(out: Out, store: Store, plan: DoorsPlan): Promise<void> {
  store.round.history.note([], () => `out by ${out}`);
  try {
    await walks[out]?.(store, plan);
  } catch (error) {
    if (error instanceof Violation || error instanceof Lost || store.round.stopped.aborted) throw error;
    throw new Violation("readable", `${out}: ${(error as Error).message}`);
  }
}

/** What is at a limit, and above, is so by the service's own word. */
async function limitsAreKnown(round: Round): Promise<void> {
  const { json } = await round.call("GET", "/v1/config");
  for (const [name, value] of Object.entries(limitsKnown)) {
    round.checks.that("limits", json.limits[name] === value, () => `${name} is ${json.limits[name]}, and was ${value}`);
  }
}
