/**
 * The groups' deliveries that follow a partition, and how each is told of what was appended. A delivery that has read to
 * the tail waits there and is woken, with the fresh records where they are small; one that lags reads on by itself and is
 * left alone until it has caught up.
 *
 *     at = 17          waits at offset 17
 *     at = "reading"   reads by itself
 *     at = undefined   not known, because this object has just come back: it is asked
 *
 * A wake may be lost in a crash. Leaving rest, an append arms the alarm in its own transaction; the alarm asks everybody
 * who has not answered, and is armed again only while somebody has not.
 */
import type { Target } from "../../schemas/erasure.ts";
import type { Result } from "../../schemas/errors.ts";
import type { Log } from "../log/log.ts";
import type { Piece } from "../log/read.ts";
import type { Alarms } from "./alarms.ts";
import type { PageAnswer } from "./answer.ts";
import type { DeliveryRpc } from "./rpc.ts";

/** How long after an append a lost wake is repeated. */
const repeatMs = 10_000;
/** Fresh records travel with the wake up to this size; beyond it a delivery reads them. */
const wakeBytesMax = 524_288;
const wakeRecordsMax = 4_000;

interface Follower {
  readonly id: string;
  at: number | "reading" | undefined;
  telling: boolean;
}

export class Followers {
  readonly #followers = new Map<string, Follower>();

  constructor(
    readonly alarms: Alarms,
    readonly log: () => Log | undefined,
    readonly stub: (id: string) => DeliveryRpc,
  ) {
    for (const id of log()?.followers.ids() ?? []) this.add(id);
  }

  add(id: string): void {
    if (!this.#followers.has(id)) this.#followers.set(id, { id, at: undefined, telling: false });
  }

  remove(id: string): void {
    this.#followers.delete(id);
  }

  /** A follower has read. From the tail on it waits to be told; so does one that is past it, as of a log that was rebuilt. */
  read(id: string, page: Result<PageAnswer>): void {
    const follower = this.#followers.get(id);
    if (follower === undefined) return;
    if (page.ok) follower.at = page.value.upToDate ? page.value.to : "reading";
    else if (page.refusal.code === "past-tail") follower.at = this.log()?.span.tail;
  }

  /** Something was appended, or the partition was sealed. Called in the run that wrote it, so that the alarm is one with it. */
  appended(): void {
    if (this.#followers.size === 0) return;
    let waiting = false;
    for (const follower of this.#followers.values()) {
      if (follower.at === "reading") continue;
      waiting = true;
      this.#tell(follower);
    }
    if (waiting) this.#arm();
  }

  /** The alarm: whoever has not answered is asked again. */
  async repeat(): Promise<void> {
    const tail = this.log()?.span.tail;
    if (tail === undefined) return;
    const owed = [...this.#followers.values()].filter(({ at }) => at === undefined || (at !== "reading" && at < tail));
    await Promise.all(owed.map((follower) => this.#tell(follower)));
    // Who is still being told by another call has not answered either.
    if (owed.some(({ at, telling }) => at === undefined || telling)) this.#arm();
  }

  /** The lowest offset that a follower may still want; 0 where one cannot be asked. */
  async floor(): Promise<number> {
    this.#learn();
    const floors = [...this.#followers.keys()].map((id) => this.stub(id).floor());
    return Math.min(Number.MAX_SAFE_INTEGER, ...(await Promise.all(floors.map((floor) => floor.catch(() => 0)))));
  }

  /** Each is to forget what it keeps of a target below an offset. `last`: what it reads from now on has nothing of it. */
  async forget(target: Target, to: number, last: boolean): Promise<void> {
    this.#learn();
    for (const id of this.#followers.keys()) {
      const answer = await this.stub(id).forget(target, to, last);
      if (answer.ok) continue;
      if ("refusal" in answer) throw new Error(answer.refusal.detail);
      // One that has its place, and has yet to be told what it is, has what is to be forgotten, too.
      if (last && this.log()?.followers.ids().includes(id)) throw new Error(`the delivery ${id} is not there yet`);
    }
  }

  /** Of a log that was restored they are known by their rows alone. */
  #learn(): void {
    for (const id of this.log()?.followers.ids() ?? []) this.add(id);
  }

  #arm(): void {
    this.alarms.by(Date.now() + repeatMs);
  }

  /** Tells one follower until it has everything, or says that it reads by itself. One call at a time gathers the rest. */
  async #tell(follower: Follower): Promise<void> {
    if (follower.telling) return;
    follower.telling = true;
    try {
      for (let log = this.log(); log !== undefined; log = this.log()) {
        const { at } = follower;
        const { tail } = log.span;
        const { sealed } = log;
        if (at === "reading" || (at !== undefined && at >= tail && !sealed)) return;
        const answer = await this.#wake(follower.id, log, at, tail);
        // It may have read, and said so, while it was being told.
        if (follower.at === at) follower.at = answer < 0 || (answer === at && answer < tail) ? "reading" : answer;
        // Past it stands who had read what a rebuild has lost. One that was sealed meanwhile is told of that next.
        if (sealed && typeof follower.at === "number" && follower.at >= tail) return;
      }
    } catch {
      follower.at = undefined;
      this.#arm();
    } finally {
      follower.telling = false;
    }
  }

  #wake(id: string, log: Log, at: number | undefined, tail: number): Promise<number> {
    const fresh = at === undefined || at >= tail ? undefined : freshBodies(log, at);
    if (fresh === undefined) return this.stub(id).wake(-1, -1, tail, log.sealed, []);
    return this.stub(id).wake(at as number, fresh.to, tail, log.sealed, fresh.bodies);
  }
}

/** What was appended from an offset on, where it is small and sound. */
function freshBodies(log: Log, from: number): { to: number; bodies: Uint8Array[] } | undefined {
  const page = log.read({ from: { at: "offset", offset: from }, limit: wakeRecordsMax, bytesMax: wakeBytesMax });
  if (!page.ok || page.value.cold !== undefined) return undefined;
  const bodies = page.value.pieces.map((piece: Piece) => ("body" in piece ? piece.body : undefined));
  const sound = bodies.every((body) => body !== undefined);
  const bytes = sound ? bodies.reduce((sum, body) => sum + body.length, 0) : Number.POSITIVE_INFINITY;
  return sound && bytes <= wakeBytesMax ? { to: page.value.to, bodies } : undefined;
}
