/**
 * `…/live`: a client's socket. On a stream of one partition, or with `?partition=`, it ends in the partition's object, which
 * sleeps while nothing happens; on the whole of a stream of several, this Worker holds it and relays, and stays awake for it.
 */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { liveQuery } from "../../../schemas/frames.ts";
import { hashSpace } from "../../catalog/map.ts";
import type { Hello } from "../../objects/clients.ts";
import type { Env } from "../../objects/stubs.ts";
import type { Principal } from "../auth.ts";
import { lookup, type Route } from "../lookup.ts";
import { query } from "../parse.ts";
import { problem } from "../problem.ts";
import { noUpgrade, protocolOf, upgraded } from "./protocol.ts";
import { Relay } from "./relay.ts";
import { open } from "./upstream.ts";

const protocols = ["millrace.v1", "millrace.v1.binary"] as const;

export async function live(request: Request, env: Env, who: Principal, namespace: string, name: string) {
  const terms = query(liveQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const { partition } = terms.value;
  const route = await routeTo(env, namespace, name, partition);
  if (!route.ok) return problem(route.refusal);
  const refused = noUpgrade(request);
  if (refused !== undefined) return refused;
  const protocol = protocolOf(request.headers, protocols);
  if (!protocol.ok) return problem(protocol.refusal);
  const binary = protocol.value === "millrace.v1.binary";
  const until = who.until === undefined ? {} : { until: who.until };
  const hello = { rights: who.rights.filter(isLive), binary, confirms: true, ...until };
  const opened = await connect(env, route.value, partition, hello);
  if (!opened.ok) return problem(opened.refusal);
  return upgraded(opened.value, protocol.value);
}

const isLive = (right: string) => right === "read" || right === "append";

/** The stream, with the partition that is asked for. */
async function routeTo(env: Env, namespace: string, name: string, only: number | undefined): Promise<Result<Route>> {
  let route = await lookup(env, namespace, name);
  if (only === undefined) return route;
  if (route.ok && only >= route.value.stream.map.length) route = await lookup(env, namespace, name, true);
  if (!route.ok) return route;
  const { length } = route.value.stream.map;
  if (only < length) return route;
  return refuse("partition-not-found", `the stream has no partition ${only}; its partitions are 0 to ${length - 1}`);
}

async function connect(
  env: Env,
  to: Route,
  only: number | undefined,
  hello: Pick<Hello, "rights" | "binary" | "confirms" | "until">,
): Promise<Result<WebSocket>> {
  const { map } = to.stream;
  if (only !== undefined) return open(env, to, map[only], { ...hello, pinned: true });
  let route = to;
  const [first, ...others] = map;
  if (others.length === 0) {
    const opened = await open(env, route, first, { ...hello, pinned: false });
    if (opened.ok || opened.refusal.code !== "sealed") return opened;
    // It has grown since we looked.
    const grown = await lookup(env, to.namespace, to.stream.name, true);
    if (!grown.ok) return grown;
    route = grown.value;
  }
  const { 0: theirs, 1: ours } = new WebSocketPair();
  new Relay(env, route, ours, { ...hello, pinned: false, from: 0, to: hashSpace }).start();
  return ok(theirs);
}
