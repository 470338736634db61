/**
 * `…/live`: a member's socket. On a stream of one partition it ends in the delivery's object, which sleeps while nothing
 * happens; on one of several, this Worker holds it and relays to a socket for each partition, and stays awake for it.
 */
import { groupLiveQuery } from "../../../schemas/group.ts";
import type { Env } from "../../objects/stubs.ts";
import type { Principal } from "../auth.ts";
import { noUpgrade, protocolOf, upgraded } from "../live/protocol.ts";
import { query } from "../parse.ts";
import { problem } from "../problem.ts";
import type { Names } from "./groups.ts";
import { Relay } from "./relay.ts";
import { groupRoute, noPartition } from "./route.ts";
import { openDelivery } from "./upstream.ts";

export async function live(request: Request, env: Env, { until }: Principal, names: Names): Promise<Response> {
  const terms = query(groupLiveQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const { member, partition: only } = terms.value;
  const caller = { member, until, named: only !== undefined };
  const target = await groupRoute(env, names.namespace, names.stream, names.group, "newest");
  if (!target.ok) return problem(target.refusal);
  const { partitions } = target.value;
  if (only !== undefined && !partitions.includes(only)) return problem(noPartition(only).refusal);
  const refused = noUpgrade(request);
  if (refused !== undefined) return refused;
  const protocol = protocolOf(request.headers, ["millrace.v1"]);
  if (!protocol.ok) return problem(protocol.refusal);
  if (only !== undefined || partitions.length === 1) {
    const opened = await openDelivery(env, target.value, only ?? partitions[0], caller, "confirms");
    if (opened.ok) return upgraded(opened.value.webSocket as WebSocket, protocol.value);
    // Nothing was ever appended: a relay waits for the partition to come to be.
    if (opened.refusal.code !== "unavailable") return problem(opened.refusal);
  }
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  new Relay(env, names, server, caller, only, target.value).start();
  return upgraded(client, protocol.value);
}
