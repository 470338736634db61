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
import { lookup } from "../lookup.ts";
import { query } from "../parse.ts";
import { problem } from "../problem.ts";
import { protocolOf, upgraded } from "./protocol.ts";
import { Relay } from "./relay.ts";
import { open } from "./upstream.ts";

const protocols = ["millrace.v1", "millrace.v1.binary"] as const;

export async function live(request: Request, env: Env, who: Principal, namespace: string, name: string) {
  const terms = query(liveQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return problem({ code: "upgrade-required", detail: "open this route with a WebSocket" }, { upgrade: "websocket" });
  }
  const protocol = protocolOf(request.headers, protocols);
  if (!protocol.ok) return problem(protocol.refusal);
  const binary = protocol.value === "millrace.v1.binary";
  const until = who.until === undefined ? {} : { until: who.until };
  const hello = { rights: who.rights.filter(isLive), binary, confirms: true, ...until };
  const opened = await connect(env, namespace, name, terms.value.partition, hello);
  if (!opened.ok) return problem(opened.refusal);
  return upgraded(opened.value, protocol.value);
}

const isLive = (right: string) => right === "read" || right === "append";

async function connect(
  env: Env,
  namespace: string,
  name: string,
  only: number | undefined,
  hello: Pick<Hello, "rights" | "binary" | "confirms" | "until">,
): Promise<Result<WebSocket>> {
  let route = await lookup(env, namespace, name);
  if (route.ok && only !== undefined && only >= route.value.stream.map.length) {
    route = await lookup(env, namespace, name, true);
  }
  if (!route.ok) return route;
  const { map } = route.value.stream;
  if (only !== undefined) {
    if (map[only] !== undefined) return open(env, route.value, map[only], { ...hello, pinned: true });
    return refuse(
      "partition-not-found",
      `the stream has no partition ${only}; its partitions are 0 to ${map.length - 1}`,
    );
  }
  const [first, ...others] = map;
  if (others.length === 0) {
    const opened = await open(env, route.value, first, { ...hello, pinned: false });
    if (opened.ok || opened.refusal.code !== "sealed") return opened;
    // It has grown since we looked.
    route = await lookup(env, namespace, name, true);
    if (!route.ok) return route;
  }
  const { 0: theirs, 1: ours } = new WebSocketPair();
  new Relay(env, route.value, ours, { ...hello, pinned: false, from: 0, to: hashSpace }).start();
  return ok(theirs);
}
