/**
 * `…/live`: a client's socket. On a stream of one partition, or with `?partition=`, it ends in the partition's object, which
 * sleeps while nothing happens; on the whole of a stream of several, this Worker holds it and relays, and stays awake for it.
 */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import type { PartitionRange } from "../../../schemas/stream.ts";
import type { Hello } from "../../objects/clients.ts";
import { catalog, type Env, partitionObject } from "../../objects/stubs.ts";
import { type Principal, protocolsOf } from "../auth.ts";
import { lookup, type Route, remember } from "../lookup.ts";
import { problem } from "../problem.ts";

const protocols = ["millrace.v1", "millrace.v1.binary"] as const;

export async function live(request: Request, env: Env, who: Principal, namespace: string, name: string) {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return problem({ code: "upgrade-required", detail: "open this route with a WebSocket" }, { upgrade: "websocket" });
  }
  const protocol = protocolOf(request.headers);
  if (!protocol.ok) return problem(protocol.refusal);
  const asked = new URL(request.url).searchParams.get("partition");
  const only = asked === null ? undefined : /^\d{1,7}$/.test(asked) ? Number(asked) : -1;
  const binary = protocol.value === "millrace.v1.binary";
  const opened = await connect(env, namespace, name, only, { rights: who.rights.filter(isLive), binary });
  if (!opened.ok) return problem(opened.refusal);
  const headers = protocol.value === undefined ? undefined : { "sec-websocket-protocol": protocol.value };
  return new Response(null, { status: 101, webSocket: opened.value, headers });
}

const isLive = (right: string) => right === "read" || right === "append";

/** The first of our protocols that the client offers; undefined where it offers none at all. */
function protocolOf(headers: Headers): Result<(typeof protocols)[number] | undefined> {
  if (!headers.has("sec-websocket-protocol")) return ok(undefined);
  const offered = protocolsOf(headers);
  const known = offered.find((one) => protocols.some((protocol) => protocol === one));
  if (known !== undefined) return ok(known as (typeof protocols)[number]);
  return refuse("invalid", `none of the subprotocols is known; offer ${protocols.join(" or ")}`);
}

async function connect(
  env: Env,
  namespace: string,
  name: string,
  only: number | undefined,
  hello: Pick<Hello, "rights" | "binary">,
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
  return open(env, route.value, map[0], { ...hello, pinned: false });
}

/** A socket of one partition, which is created on the way where it is not there yet. */
export async function open(
  env: Env,
  { namespace, stream }: Route,
  range: PartitionRange,
  hello: Omit<Hello, "from" | "to">,
): Promise<Result<WebSocket>> {
  const { partition, from, to } = range;
  const url = `http://partition/?hello=${encodeURIComponent(JSON.stringify({ ...hello, from, to }))}`;
  const call = () =>
    partitionObject(env, stream.logId, partition, stream.config.placement).fetch(url, {
      headers: { upgrade: "websocket" },
    });
  let response = await call();
  if (response.status === 404) {
    const opened = remember(namespace, stream.name, await catalog(env, namespace).open(stream.name, partition));
    if (!opened.ok) return opened;
    response = await call();
  }
  if (response.webSocket !== null) return ok(response.webSocket);
  if (response.status === 429) {
    return refuse("too-many", `the partition has ${limits.streamSocketsMax} sockets; close some, or read by HTTP`);
  }
  if (response.status === 409) return refuse("sealed", "the partition was split");
  return refuse("unavailable", "the partition is not there yet; try again in a moment");
}
