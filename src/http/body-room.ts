/** The memory of bodies that are gathered here, all of an isolate's together. */
import type { Refusal } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { BodyFault } from "./arriving.ts";
import { Budget, growLater, type Hold } from "./budget.ts";

/** A client that is silent for longer is given up by itself. */
const bodies = new Budget(limits.bodiesBytesMax, limits.bodySilentMsMax * 2);
/** How often a body that waits for room, unread, looks. */
const lookMs = 25;

const noRoom: Refusal = {
  code: "too-many",
  detail: `bodies of more than ${limits.bodiesBytesMax} bytes are being read at once; send it again in a moment`,
  facts: { limit: limits.bodiesBytesMax },
};

export const holdBody = (): Hold => bodies.hold();

/** Takes room for more. What is not read while it waits, waits at the client. Throws a `BodyFault` where there is none for too long. */
export async function takeRoom(hold: Hold, bytes: number): Promise<void> {
  if (hold.grow(bytes, Date.now()) || (await growLater(hold, bytes, lookMs))) return;
  throw new BodyFault(noRoom);
}
