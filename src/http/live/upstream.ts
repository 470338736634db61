/** Sockets from this Worker to partitions. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import type { PartitionRange } from "../../../schemas/stream.ts";
import type { Hello } from "../../objects/clients.ts";
import { post } from "../../objects/socket.ts";
import { catalog, type Env, partitionObject } from "../../objects/stubs.ts";
import { type Route, remember } from "../lookup.ts";
import { thrown } from "../problem.ts";
import type { Leg, Spread } from "./spread.ts";

/** A partition that is lost is connected to again, with a growing pause. */
export const attemptsMax = 8;
export const pauseMs = 50;

/** The partition is created on the way where it is not there yet. */
export async function open(
  env: Env,
  route: Route,
  range: PartitionRange,
  hello: Omit<Hello, "from" | "to">,
): Promise<Result<WebSocket>> {
  try {
    return await tryOpen(env, route, range, hello);
  } catch (error) {
    return thrown(error);
  }
}

async function tryOpen(
  env: Env,
  route: Route,
  { partition, from, to }: PartitionRange,
  hello: Omit<Hello, "from" | "to">,
): Promise<Result<WebSocket>> {
  const url = `http://partition/?hello=${encodeURIComponent(JSON.stringify({ ...hello, from, to }))}`;
  const call = ({ stream: { logId, config } }: Route) =>
    partitionObject(env, logId, partition, config.placement).fetch(url, { headers: { upgrade: "websocket" } });
  let response = await call(route);
  if (response.status === 404) {
    const { namespace, stream } = route;
    const opened = remember(namespace, stream.name, await catalog(env, namespace).open(stream.name, partition));
    if (!opened.ok) return opened;
    response = await call(opened.value);
  }
  if (response.webSocket !== null) return ok(response.webSocket);
  if (response.status === 429) {
    return refuse("too-many", `the partition has ${limits.streamSocketsMax} sockets; close some, or read by HTTP`);
  }
  if (response.status === 409) return refuse("sealed", "the partition was split");
  return refuse("unavailable", "the partition is not there yet; try again in a moment");
}

export interface Upstream {
  readonly partition: number;
  readonly socket: WebSocket;
  /** Who follows on it, by their numbers. */
  readonly legs: Map<number, { readonly spread: Spread; readonly leg: Leg }>;
  nextId: number;
}

export const tell = ({ socket }: Upstream, message: object) => post(socket, JSON.stringify(message));

/** One socket for each partition, opened when it is first asked for. */
export class Upstreams {
  readonly #open = new Map<number, Promise<Result<Upstream>>>();
  #closed = false;

  constructor(
    readonly env: Env,
    readonly route: (fresh: boolean) => Promise<Result<Route>>,
    readonly on: {
      message(upstream: Upstream, data: unknown): void;
      lost(upstream: Upstream, code: number): void;
    },
  ) {}

  get(partition: number): Promise<Result<Upstream>> {
    let upstream = this.#open.get(partition);
    if (upstream === undefined) {
      upstream = this.#connect(partition);
      this.#open.set(partition, upstream);
    }
    return upstream;
  }

  tell(partition: number, message: object): void {
    void this.#open.get(partition)?.then((one) => one.ok && tell(one.value, message));
  }

  /** Ends a leg on its partition; a socket that has none left is closed. */
  async drop(leg: Leg): Promise<void> {
    const upstream = await this.#open.get(leg.partition);
    if (leg.id === undefined || upstream === undefined || !upstream.ok) return;
    const { legs, socket } = upstream.value;
    legs.delete(leg.id);
    if (!leg.ended) tell(upstream.value, { type: "unsubscribe", id: leg.id });
    if (legs.size > 0) return;
    this.#open.delete(leg.partition);
    socket.close(1000, "nothing to follow");
  }

  close(): void {
    this.#closed = true;
    for (const upstream of this.#open.values()) {
      void upstream.then((one) => one.ok && one.value.socket.close(1000, "the client has gone"));
    }
  }

  async #connect(partition: number): Promise<Result<Upstream>> {
    for (let attempt = 1; ; attempt++) {
      const route = await this.route(attempt > 1);
      const opened = route.ok ? await this.#tryConnect(route.value, partition) : route;
      if (opened.ok) return opened;
      const passing = opened.refusal.code === "unavailable" || opened.refusal.code === "overloaded";
      if (this.#closed || !passing || attempt === attemptsMax) {
        this.#open.delete(partition);
        return opened;
      }
      await scheduler.wait(pauseMs * 2 ** attempt);
    }
  }

  async #tryConnect(route: Route, partition: number): Promise<Result<Upstream>> {
    const range = route.stream.map[partition];
    const opened = await open(this.env, route, range, { rights: ["read"], binary: true, pinned: true, exact: true });
    if (!opened.ok) return opened;
    const socket = opened.value;
    const upstream: Upstream = { partition, socket, legs: new Map(), nextId: 0 };
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.on.message(upstream, data));
    socket.addEventListener("close", ({ code }) => {
      if (upstream.legs.size > 0) this.#open.delete(partition);
      this.on.lost(upstream, code);
    });
    socket.accept();
    if (this.#closed) socket.close(1000, "the client has gone");
    return ok(upstream);
  }
}
