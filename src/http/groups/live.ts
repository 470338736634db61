/**
 * `…/live`: a member's socket. On a stream of one partition it ends in the delivery's object, which sleeps while nothing
 * happens; on one of several, this Worker holds it and relays to a socket for each partition, and stays awake for it.
 */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { memberMessage } from "../../../schemas/frames.ts";
import { limits } from "../../../schemas/limits.ts";
import { deliveriesOf } from "../../catalog/groups.ts";
import { readReceipt } from "../../delivery/receipt.ts";
import { post } from "../../objects/socket.ts";
import { deliveryObject, type Env } from "../../objects/stubs.ts";
import { protocolOf, upgraded } from "../live/protocol.ts";
import { problem } from "../problem.ts";
import type { Names } from "./groups.ts";
import { type GroupRoute, groupRoute, noPartition, openPartition } from "./route.ts";

/** How often a relay looks for partitions that have come to be. */
const lookMs = 5_000;

export async function live(request: Request, env: Env, names: Names): Promise<Response> {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return problem({ code: "upgrade-required", detail: "open this route with a WebSocket" }, { upgrade: "websocket" });
  }
  const protocol = protocolOf(request.headers, ["millrace.v1"]);
  if (!protocol.ok) return problem(protocol.refusal);
  const url = new URL(request.url);
  const member = url.searchParams.get("member") ?? "socket";
  if (new TextEncoder().encode(member).length > limits.memberBytesMax || member === "") {
    return problem({ code: "invalid", detail: `query: member: must have 1 to ${limits.memberBytesMax} bytes` });
  }
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const { partitions } = target.value;
  const asked = url.searchParams.get("partition");
  const only = asked === null ? undefined : /^\d{1,7}$/.test(asked) ? Number(asked) : -1;
  if (only !== undefined && !partitions.includes(only)) return problem(noPartition(only).refusal);
  if (only !== undefined || partitions.length === 1) {
    const opened = await open(env, target.value, only ?? partitions[0], member);
    if (opened.ok) return upgraded(opened.value.webSocket as WebSocket, protocol.value);
    // Nothing was ever appended: a relay waits for the partition to come to be.
    if (opened.refusal.code !== "unavailable") return problem(opened.refusal);
  }
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  new Relay(env, names, server, member, only).start(target.value);
  return upgraded(client, protocol.value);
}

/** A delivery's own socket. */
async function open(
  env: Env,
  target: GroupRoute,
  partition: number,
  member: string,
  relayed = false,
): Promise<Result<Response>> {
  const id = deliveriesOf(target.route.stream.logId, target.group.id);
  const url = `http://delivery/?member=${encodeURIComponent(member)}${relayed ? "&relayed" : ""}`;
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

interface Upstream {
  readonly socket: WebSocket;
  /** Credits that it was given and has not used. */
  credits: number;
}

interface Deliveries {
  readonly type: "deliveries";
  readonly deliveries: unknown[];
}

class Relay {
  readonly #upstreams = new Map<number, Upstream>();
  readonly #opening = new Set<number>();
  /** Credits of the member that no partition has used. */
  #credits = 0;
  /** Deliveries beyond the credits: every partition holds one at least, however few there are. */
  readonly #held: Deliveries[] = [];
  #closed = false;
  #looking: ReturnType<typeof setInterval> | undefined;

  constructor(
    readonly env: Env,
    readonly names: Names,
    readonly client: WebSocket,
    readonly member: string,
    readonly only: number | undefined,
  ) {}

  start(target: GroupRoute): void {
    this.client.addEventListener("message", ({ data }) => this.#fromMember(data));
    this.client.addEventListener("close", () => this.#close(1000, "the member has gone"));
    this.client.addEventListener("error", () => this.#close(1011, "the socket broke"));
    this.#looking = setInterval(() => void this.#look(), lookMs);
    this.#say({ type: "ready", member: this.member, heartbeatMs: target.group.config.heartbeatMs });
    void this.#connect(target);
  }

  async #look(): Promise<void> {
    const { namespace, stream, group } = this.names;
    const target = await groupRoute(this.env, namespace, stream, group, true);
    if (target.ok) await this.#connect(target.value);
    else this.#fail(target.refusal.code, target.refusal.detail);
  }

  async #connect(target: GroupRoute): Promise<void> {
    const wanted = this.only === undefined ? target.partitions : [this.only];
    const missing = wanted.filter((one) => !this.#upstreams.has(one) && !this.#opening.has(one));
    await Promise.all(missing.map((partition) => this.#open(target, partition)));
    this.#share();
  }

  async #open(target: GroupRoute, partition: number): Promise<void> {
    this.#opening.add(partition);
    try {
      const opened = await open(this.env, target, partition, this.member, true);
      if (!opened.ok || opened.value.webSocket === null) return;
      const socket = opened.value.webSocket;
      if (this.#closed) return void socket.close(1000, "the member has gone");
      socket.accept();
      const upstream: Upstream = { socket, credits: 0 };
      this.#upstreams.set(partition, upstream);
      socket.addEventListener("message", ({ data }) => this.#fromPartition(upstream, data));
      socket.addEventListener("close", ({ reason }) => {
        this.#upstreams.delete(partition);
        // Its deliveries have returned to the group; the next look opens it again.
        if (reason === "the group was deleted") this.#fail("group-not-found", reason);
      });
    } finally {
      this.#opening.delete(partition);
    }
  }

  #fromMember(data: unknown): void {
    if (data === "ping") {
      post(this.client, "pong");
      for (const { socket } of this.#upstreams.values()) post(socket, "ping");
      return;
    }
    const message = typeof data === "string" ? understand(data) : undefined;
    if (message === undefined || typeof message === "string") {
      this.#fail("invalid", message ?? "send JSON text");
      return;
    }
    if (message.type === "credit") {
      this.#credits = Math.min(limits.creditsMax, this.#credits + message.credits);
      this.#flush();
      this.#share();
      return;
    }
    const { receipts, ...rest } = message;
    for (const [partition, some] of Map.groupBy(receipts, (one) => readReceipt(one)?.partition)) {
      const upstream = partition === undefined ? undefined : this.#upstreams.get(partition);
      if (upstream !== undefined) post(upstream.socket, JSON.stringify({ ...rest, receipts: some }));
      else {
        const detail = "no such lease: the partition's socket was lost, and its leases with it";
        this.#say({ type: "refused", refused: some.map((receipt) => ({ receipt, code: "stale-lease", detail })) });
      }
    }
  }

  #fromPartition(upstream: Upstream, data: unknown): void {
    if (typeof data !== "string" || data === "pong") return;
    const message = JSON.parse(data) as { type: string; deliveries?: unknown[] };
    if (message.type === "ready") return;
    if (message.type === "split") {
      if (this.only === undefined) void this.#look();
      return;
    }
    if (message.type !== "deliveries") {
      post(this.client, data);
      return;
    }
    upstream.credits -= message.deliveries!.length;
    this.#held.push(message as Deliveries);
    this.#flush();
    this.#share();
  }

  /** Hands on what the member has credits for. */
  #flush(): void {
    for (let first = this.#held[0]; first !== undefined && this.#credits > 0; first = this.#held[0]) {
      const deliveries = first.deliveries.splice(0, this.#credits);
      this.#credits -= deliveries.length;
      this.#say({ type: "deliveries", deliveries });
      if (first.deliveries.length === 0) this.#held.shift();
    }
  }

  /** Lends every partition an even share of the credits, and one at least. */
  #share(): void {
    if (this.#credits === 0 || this.#held.length > 0) return;
    const share = Math.max(1, Math.floor(this.#credits / Math.max(1, this.#upstreams.size)));
    for (const upstream of this.#upstreams.values()) {
      const credits = share - upstream.credits;
      if (credits <= 0) continue;
      upstream.credits += credits;
      post(upstream.socket, JSON.stringify({ type: "credit", credits }));
    }
  }

  #say(message: object): void {
    if (!this.#closed) post(this.client, JSON.stringify(message));
  }

  #fail(code: string, detail: string): void {
    this.#say({ type: "error", code, detail, fatal: true });
    this.#close(1008, detail.slice(0, 120));
  }

  #close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#looking);
    for (const { socket } of this.#upstreams.values()) socket.close(1000, reason);
    this.client.close(code, reason);
  }
}

function understand(text: string) {
  try {
    const parsed = memberMessage.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : `${parsed.error.issues[0].path.join(".")}: ${parsed.error.issues[0].message}`;
  } catch (error) {
    return (error as Error).message;
  }
}
