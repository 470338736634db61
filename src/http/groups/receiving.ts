/** One receive: what is to be had at once, and waiting for it, over the partitions of a group. */
import { ok, type Result } from "../../../schemas/errors.ts";
import type { ReceiveBody } from "../../../schemas/group.ts";
import { defaults } from "../../../schemas/limits.ts";
import { writeReceipt } from "../../delivery/receipt.ts";
import type { DeliveryRpc, Leases } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import { counted, Untaken } from "../untaken.ts";
import type { Names } from "./groups.ts";
import type { Presence } from "./presence.ts";
import { askDelivery, type GroupRoute, groupRoute, openPartition } from "./route.ts";

/** Where there is nobody to ask yet, it is asked again after a moment. */
const absentMs = 200;
/** How often the map is asked for while a stream grows, to begin with and at last. */
const renewMs = 50;
const renewMsMax = 2_000;

export class Receiving {
  /** By this name its waiting is ended. */
  readonly #call = crypto.randomUUID();
  readonly #until: number;
  #opened = false;
  #renewMs = renewMs;
  /** Partitions that were split, and are finished. */
  readonly #over = new Set<number>();
  /** What it was given, and the member has yet to take. */
  readonly untaken = new Untaken();
  /** Those that were split. */
  readonly #sealed = new Set<number>();

  constructor(
    readonly env: Env,
    readonly names: Names,
    public target: GroupRoute,
    readonly body: ReceiveBody,
    readonly presence: Presence,
    /** Whoever asks may do so until then, in ms since 1970. */
    until = Number.POSITIVE_INFINITY,
  ) {
    this.#until = Math.min(Date.now() + body.waitSeconds * 1_000, until);
  }

  get leftMs(): number {
    return Math.max(0, this.#until - Date.now());
  }

  /** Bytes that it is given at most. Many of them are counted before they come; with a question that `waits` it has not so many. */
  bytesMax(waits: boolean): number {
    const share = this.untaken.share(this.body.maxBytes);
    if (waits) return Math.min(share, defaults.batchBytes);
    if (share > defaults.batchBytes) this.untaken.holds(share);
    return share;
  }

  get partitions(): readonly number[] {
    if (this.body.partition !== undefined) return [this.body.partition];
    const { partitions } = this.target;
    return this.#over.size === 0 ? partitions : partitions.filter((one) => !this.#over.has(one));
  }

  /** What is to be had at once. What it holds until that is handed over is small, or counted. */
  async take(): Promise<Result<Leases[]>> {
    const taken = await this.#take(this.bytesMax(false));
    this.untaken.holds(taken.ok ? counted(taken.value.reduce((sum, { bytes }) => sum + bytes.length, 0)) : 0);
    return taken;
  }

  /** Once around the partitions, from one that chance picks, until there is enough. */
  async #take(bytesMax: number): Promise<Result<Leases[]>> {
    const { partitions } = this;
    const leases: Leases[] = [];
    let [left, bytesLeft] = [this.body.max, bytesMax];
    const first = Math.floor(Math.random() * partitions.length);
    let there = partitions.length === 0;
    for (let index = 0; index < partitions.length && left > 0 && bytesLeft > 0; index++) {
      const partition = partitions[(first + index) % partitions.length];
      const answer = await this.ask(partition, left, bytesLeft, 0, []);
      if (answer === undefined) continue;
      there = true;
      // What is leased already goes out; the others will be asked by the next receive.
      if (!answer.ok) return leases.length > 0 ? ok(leases) : answer;
      if (answer.value.ends.length > 0 || answer.value.lost.length > 0) leases.push(answer.value);
      left -= answer.value.ends.length;
      bytesLeft -= answer.value.bytes.length;
    }
    if (there) return ok(leases);
    const again = await this.absent();
    return again.ok ? ok(leases) : again;
  }

  /** One partition: what it has, or, after a wait, that it has something. */
  async ask(partition: number, max: number, bytesMax: number, waitMs: number, ack: readonly string[]) {
    const call = { ...this.#waitCall(partition, waitMs), max, bytesMax, ack };
    const asked = askDelivery(this.env, this.target, partition, (one) => one.receive(call));
    const answer = waitMs === 0 ? await asked : await this.#during(asked, [partition]);
    if (answer?.ok) await this.#note(answer.value);
    return answer;
  }

  /** Resolves when some partition has something, or the time is over, or whoever asked has gone; true in the first case. */
  async wait(): Promise<Result<boolean>> {
    if (this.#stale) return this.#renew();
    const partitions = this.partitions.filter((one) => !this.#over.has(one));
    if (partitions.length === 0) {
      // Nothing comes of one partition that is finished; of all, what continues them, when the newer map is to be had.
      if (this.body.partition === undefined) await scheduler.wait(Math.min(this.leftMs, absentMs));
      return ok(this.body.partition === undefined && this.leftMs > 0);
    }
    const waiting = new Set(partitions);
    let over = false;
    const asked = partitions.map(async (partition) => {
      const answer = await this.#waitFor(partition, () => over);
      waiting.delete(partition);
      if (answer.ok && !answer.value) await this.#all(waiting);
      return answer;
    });
    const first = await this.#during(Promise.race(asked), partitions);
    over = true;
    // What nobody waits for any more is ended, not left to run out.
    for (const partition of waiting) this.#tell(partition, (one) => one.cancel(this.#call));
    return first;
  }

  /** A partition was split, and what continues it is not known yet: partitions are sealed before the newer map is out. */
  get #stale(): boolean {
    const { map } = this.target.route.stream;
    return this.body.partition === undefined && [...this.#sealed].some((one) => map[one]?.sealed === false);
  }

  async #renew(): Promise<Result<boolean>> {
    await scheduler.wait(Math.min(this.leftMs, this.#renewMs));
    this.#renewMs = Math.min(this.#renewMs * 2, renewMsMax);
    const fresh = await this.#refresh();
    return fresh.ok ? ok(this.leftMs > 0 && !this.presence.gone) : fresh;
  }

  /** Gives leases back that could not be handed over. */
  async release(leases: readonly Leases[]): Promise<void> {
    await Promise.all(
      leases.map(({ partition, era, offsets, generations, tags, lost }) => {
        const receipts = [...offsets].map((offset, index) =>
          writeReceipt({ partition, offset, era, generation: generations[index], tag: tags[index] }),
        );
        return askDelivery(this.env, this.target, partition, (one) => one.release(receipts, lost));
      }),
    );
  }

  /** Nobody there: the group is not the one that it was, or the stream holds nothing yet. */
  async absent(): Promise<Result<undefined>> {
    const fresh = await this.#refresh();
    if (!fresh.ok || this.leftMs === 0) return fresh;
    // Somebody waits for what is to come: it will come to a partition that is there.
    const opened = await Promise.all(this.partitions.map((one) => openPartition(this.env, this.target, one)));
    const refused = opened.find((one) => !one.ok);
    if (refused !== undefined) return refused;
    if (this.#opened) await scheduler.wait(Math.min(this.leftMs, absentMs));
    this.#opened = true;
    return ok(undefined);
  }

  async #waitFor(partition: number, over: () => boolean): Promise<Result<boolean>> {
    while (this.leftMs > 0 && !this.presence.gone && !over()) {
      const call = this.#waitCall(partition, this.leftMs);
      const answer = await askDelivery(this.env, this.target, partition, (one) => one.wait(call));
      if (answer !== undefined) return answer;
      // The group is gone, or the partition holds nothing yet: then it is opened, for what is to come.
      const fresh = await this.#refresh();
      if (!fresh.ok) return fresh;
      const opened = await openPartition(this.env, this.target, partition);
      if (!opened.ok) return opened;
      await scheduler.wait(Math.min(this.leftMs, absentMs));
    }
    return ok(false);
  }

  /** Until the others have answered too. */
  async #all(waiting: ReadonlySet<number>): Promise<void> {
    while (waiting.size > 0 && this.leftMs > 0 && !this.presence.gone) await scheduler.wait(absentMs);
  }

  #waitCall(partition: number, waitMs: number) {
    const { member, max } = this.body;
    const knowsSealed = this.#sealed.has(partition) || this.target.route.stream.map[partition]?.sealed === true;
    return { call: this.#call, member, max, waitMs, knowsSealed };
  }

  /** Waiting that ends when whoever asked goes away. */
  #during<T>(work: Promise<T>, partitions: readonly number[]): Promise<T> {
    return this.presence.during(work, () => {
      for (const partition of partitions) this.#tell(partition, (one) => one.cancel(this.#call));
    });
  }

  #tell(partition: number, call: (one: DeliveryRpc) => Promise<void>): void {
    void askDelivery(this.env, this.target, partition, async (one) => ok(await call(one)));
  }

  /** A partition was split, or is finished. If this Worker thinks that it takes appends, the map is a newer one. */
  async #note({ sealed, over, partition }: Leases): Promise<void> {
    if (over) this.#over.add(partition);
    if (!sealed || this.#sealed.has(partition)) return;
    this.#sealed.add(partition);
    if (!this.target.route.stream.map[partition].sealed) await this.#refresh();
  }

  async #refresh(): Promise<Result<undefined>> {
    const { namespace, stream, group } = this.names;
    const fresh = await groupRoute(this.env, namespace, stream, group, true);
    if (!fresh.ok) return fresh;
    this.target = fresh.value;
    return ok(undefined);
  }
}
