/** Sockets from this Worker to a group's deliveries. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import { deliveriesOf } from "../../catalog/groups.ts";
import { deliveryObject, type Env } from "../../objects/stubs.ts";
import { type GroupRoute, openPartition } from "./route.ts";

/** What one partition sends a relay for one loan, one record at least: the relay holds as many loans as its member has room for. */
export const loanBytes = limits.unconfirmedBytesFirst;

/** Whose socket it is, and when its ticket is over; a relay ends what it holds by itself. */
export interface Caller {
  readonly member: string;
  readonly until: number | undefined;
  /** It asked for one partition, and no other. */
  readonly named: boolean;
}

/** A delivery's own socket. */
export async function openDelivery(
  env: Env,
  target: GroupRoute,
  partition: number,
  { member, until, named }: Caller,
  how: "confirms" | "relayed",
): Promise<Result<Response>> {
  const id = deliveriesOf(target.route.stream.logId, target.group.id);
  const terms =
    how === "relayed" ? `relayed&loanBytes=${loanBytes}` : until === undefined ? how : `${how}&until=${until}`;
  const url = `http://delivery/?member=${encodeURIComponent(member)}&${terms}${named ? "&named" : ""}`;
  const call = () => deliveryObject(env, id, partition).fetch(url, { headers: { upgrade: "websocket" } });
  let response = await call();
  if (response.status === 404) {
    const opened = await openPartition(env, target, partition);
    if (!opened.ok) return opened;
    response = await call();
  }
  if (response.status === 101) return ok(response);
  if (response.status === 429) return refuse("too-many", `the group has ${limits.socketsMax} sockets on the partition`);
  return refuse("unavailable", "the partition is not there yet");
}
