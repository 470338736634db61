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
/** A close without a reason. */
const brokenCode = 1006;

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
  /** False from the moment when nothing more will come on it, whoever ended it. */
  open: boolean;
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
    const known = this.#open.get(partition);
    if (known !== undefined) return known;
    const connecting = this.#connect(partition, () => {
      // Another may have been opened in its place.
      if (this.#open.get(partition) === connecting) this.#open.delete(partition);
    });
    this.#open.set(partition, connecting);
    return connecting;
  }

  /**
   * Sockets to all of these, open at once: one that breaks while others are still being opened is opened anew. Whoever asks has
   * to register its legs before anything else happens, for a socket that breaks without any is nobody's news.
   */
  async all(partitions: readonly number[]): Promise<Result<Upstream[]>> {
    for (let attempt = 1; ; attempt++) {
      const found: Upstream[] = [];
      for (const one of await Promise.all(partitions.map((partition) => this.get(partition)))) {
        if (!one.ok) return one;
        found.push(one.value);
      }
      if (this.#closed || found.every(({ open }) => open)) return ok(found);
      if (attempt === attemptsMax) return refuse("unavailable", "a partition was lost; connect again");
      await scheduler.wait(pauseMs * 2 ** attempt);
    }
  }

  tell(partition: number, message: object): void {
    void this.#open.get(partition)?.then((one) => one.ok && tell(one.value, message));
  }

  /** Ends a leg on its partition; a socket that has none left is closed. */
  async drop(leg: Leg): Promise<void> {
    const upstream = await this.#open.get(leg.partition);
    if (leg.id === undefined || upstream === undefined || !upstream.ok) return;
    upstream.value.legs.delete(leg.id);
    if (!leg.ended) tell(upstream.value, { type: "unsubscribe", id: leg.id });
    await this.release(leg.partition);
  }

  /** Closes the partition's socket where nobody follows on it. */
  async release(partition: number): Promise<void> {
    const upstream = await this.#open.get(partition);
    if (upstream === undefined || !upstream.ok || !upstream.value.open || upstream.value.legs.size > 0) return;
    upstream.value.open = false;
    this.#open.delete(partition);
    upstream.value.socket.close(1000, "nothing to follow");
  }

  close(): void {
    this.#closed = true;
    for (const upstream of this.#open.values()) {
      void upstream.then((one) => one.ok && one.value.socket.close(1000, "the client has gone"));
    }
  }

  async #connect(partition: number, forget: () => void): Promise<Result<Upstream>> {
    for (let attempt = 1; ; attempt++) {
      const route = await this.route(attempt > 1);
      const opened = route.ok ? await this.#tryConnect(route.value, partition, forget) : route;
      if (opened.ok) return opened;
      const passing = opened.refusal.code === "unavailable" || opened.refusal.code === "overloaded";
      if (this.#closed || !passing || attempt === attemptsMax) {
        forget();
        return opened;
      }
      await scheduler.wait(pauseMs * 2 ** attempt);
    }
  }

  async #tryConnect(route: Route, partition: number, forget: () => void): Promise<Result<Upstream>> {
    const range = route.stream.map[partition];
    const opened = await open(this.env, route, range, { rights: ["read"], binary: true, pinned: true, exact: true });
    if (!opened.ok) return opened;
    const socket = opened.value;
    const upstream: Upstream = { partition, socket, legs: new Map(), nextId: 0, open: true };
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.on.message(upstream, data));
    const lost = (code: number) => {
      if (!upstream.open) return;
      upstream.open = false;
      forget();
      this.on.lost(upstream, code);
    };
    socket.addEventListener("close", ({ code }) => lost(code));
    socket.addEventListener("error", () => lost(brokenCode));
    socket.accept();
    if (this.#closed) socket.close(1000, "the client has gone");
    return ok(upstream);
  }
}
