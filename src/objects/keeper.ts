/** What keeps a delivery going: reading, pushing, sockets, saving, and the alarm for what must happen without being asked. */
import { Admin } from "../delivery/admin.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { Heritage } from "../delivery/heritage.ts";
import { lastingMs } from "../delivery/leases.ts";
import { itemsOf } from "../delivery/page.ts";
import type { Read } from "../delivery/reader.ts";
import type { Position } from "../log/read.ts";
import type { Answer } from "./answer.ts";
import { Changes } from "./changes.ts";
import { readThrough } from "./cold.ts";
import { Filler } from "./filler.ts";
import { Forwarder } from "./forwarder.ts";
import { Pusher } from "./pusher.ts";
import { Sockets } from "./sockets.ts";
import { archiveReader, catalog, type Env, partition } from "./stubs.ts";
import type { Waiters } from "./waiters.ts";

/** Acks of pushes and sockets are written down together, by number or after a moment: a crash in between repeats them. */
const unsavedMax = 256;
const saveMs = 50;
/** How often the partition that this one continues is asked for the keys that it has unfinished. */
const heritageMs = 250;
/** Heartbeats after which a group that is not durable has lost its last member. */
const idleBeats = 2;
/** A push that lags is looked after at least so often, whatever was lost. */
const watchMs = 10_000;

export class Keeper {
  readonly heritage: Heritage;
  readonly filler: Filler;
  readonly pusher: Pusher;
  readonly sockets: Sockets;
  readonly changes: Changes;
  readonly #forwarder: Forwarder;
  /** The group is gone. */
  stopped = false;
  #saving: ReturnType<typeof setTimeout> | undefined;
  #armed = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timed = Number.POSITIVE_INFINITY;
  #running = false;
  /** When a member was last here, in ms since 1970. */
  #usedAt = Date.now();

  constructor(
    readonly ctx: DurableObjectState,
    readonly env: Env,
    id: string,
    readonly core: Delivery,
    readonly waiters: Waiters,
  ) {
    this.heritage = new Heritage(core);
    this.filler = new Filler(env, id, core, this.heritage);
    this.pusher = new Pusher(this);
    this.sockets = new Sockets(ctx, this);
    this.changes = new Changes(this, ctx.storage);
    this.#forwarder = new Forwarder(env, core);
  }

  /** A member is here. */
  used(): void {
    this.#usedAt = Date.now();
  }

  /** No member has been here for some time. */
  get idle(): boolean {
    const { push, heartbeatMs } = this.core.state.spec.config;
    const taken = this.sockets.size > 0 || this.waiters.size > 0 || push !== null;
    return !taken && Date.now() - this.#usedAt >= idleBeats * heartbeatMs;
  }

  /** True where a member could get something now. */
  get ready(): boolean {
    return this.core.anyReady(Date.now());
  }

  /** Somebody is there to take records. */
  get wanted(): boolean {
    return this.waiters.size > 0 || this.pusher.hungry || this.sockets.hungry;
  }

  /** Records were appended: taken as they come, where there is somebody for them and nothing between. */
  wake(read: Read): number {
    const { state, reader } = this.core;
    reader.learn(read.tail);
    if (read.sealed) state.sealed = true;
    const caughtUp = state.known !== undefined && state.cursor >= state.known;
    if (read.from !== -1 && read.to <= state.cursor) return state.cursor;
    const fits = read.from === state.cursor && this.wanted && reader.wantsMore && !this.filler.busy;
    if (fits && reader.take({}, read, Date.now())) {
      this.kick();
      return state.cursor;
    }
    this.kick();
    if (caughtUp) return state.cursor;
    // From here on it is left alone: a crash must not take what it is about to read.
    this.arm();
    return -1;
  }

  /** How long somebody who waits may wait before looking again. */
  patienceMs(): number {
    const now = Date.now();
    const { leases, paused, rate } = this.core.state;
    const at = Math.min(
      paused === undefined ? this.core.nextAt() : leases.soonest,
      rate === undefined ? Number.POSITIVE_INFINITY : rateAt(rate.readyAt(now), now),
    );
    return Math.max(1, Math.min(at - now, this.heritage.pending ? heritageMs : 60_000));
  }

  /** Goes on with whatever can go on. */
  kick(): void {
    this.waiters.wake();
    if (!this.#running && !this.stopped) void this.#run();
  }

  /** After a change: saves soon, and goes on. */
  settled(): void {
    if (this.stopped) return;
    if (this.core.state.unsaved >= unsavedMax) this.core.state.save();
    else if (this.core.state.spec.config.durable) {
      this.#saving ??= setTimeout(() => {
        this.#saving = undefined;
        this.core.state.save();
        this.arm();
      }, saveMs);
    }
    this.kick();
  }

  /** Moves the place, where the log has it. */
  async seek(position: Position): Promise<Answer<number>> {
    const { logId, partition: number } = this.core.state.spec;
    const offset = await partition(this.env, logId, number, undefined).order("locate", position);
    if (!offset.ok) return offset;
    new Admin(this.core).seek(offset.value, Date.now());
    this.kick();
    this.arm();
    return offset;
  }

  /** Learns where the log has come to, and how old the first record is that was not read: for the status. */
  async look(): Promise<void> {
    const { state } = this.core;
    const { logId, partition: number } = state.spec;
    state.unread = undefined;
    const from = { at: "offset", offset: state.cursor } as const;
    const terms = { from, limit: 1, bytesMax: 1, waitMs: 0, filter: this.core.reader.filter() };
    const where = { logId, partition: number, blobs: archiveReader(this.env) };
    const answer = await readThrough(where, terms, (call) => partition(this.env, logId, number, undefined).read(call));
    if (!answer.ok) return;
    const { pieces, to, tail, sealed } = answer.value;
    this.core.reader.learn(tail);
    state.sealed ||= sealed;
    state.unread = itemsOf(pieces, from.offset, to, this.core.reader.filter(), false).items[0]?.timestamp;
  }

  pause(reason: string): void {
    this.core.state.pause({ reason, at: Date.now() });
  }

  async alarm(): Promise<void> {
    this.#armed = Number.POSITIVE_INFINITY;
    await this.#tick();
  }

  stop(reason: string): void {
    this.stopped = true;
    clearTimeout(this.#saving);
    clearTimeout(this.#timer);
    this.sockets.closeAll(reason);
    this.waiters.wake();
  }

  /**
   * Sees to the next thing that must happen though nobody asks: by a timer where it is soon, which costs nothing, and by the
   * alarm, which costs a row, where it is not, or where a crash would take the timer with it.
   */
  arm(): void {
    if (this.stopped) return;
    const now = Date.now();
    const at = this.#wakeAt(now);
    if (!Number.isFinite(at)) return;
    const soon = at - now < lastingMs;
    if (soon && at < this.#timed) {
      clearTimeout(this.#timer);
      this.#timed = at;
      this.#timer = setTimeout(
        () => {
          this.#timed = Number.POSITIVE_INFINITY;
          void this.#tick();
        },
        Math.max(1, at - now),
      );
    }
    const alarmAt = soon ? now + watchMs : at;
    if (alarmAt >= this.#armed) return;
    this.#armed = alarmAt;
    this.ctx.storage.setAlarm(alarmAt);
  }

  async #tick(): Promise<void> {
    const now = Date.now();
    this.core.expire(now, Math.random());
    this.sockets.beat(now);
    // Nobody waits for it: the stream that it sends to may take long to answer, and no alarm goes while another does.
    void this.#forwarder.run().then(() => this.arm());
    const { durable } = this.core.state.spec.config;
    if (!durable && this.idle) return this.#leave();
    this.core.state.saveLeases(now);
    this.core.state.settleFloor();
    this.kick();
    this.arm();
  }

  /** The catalog decides: other partitions may have members. */
  async #leave(): Promise<void> {
    const { namespace, stream, group, groupId } = this.core.state.spec;
    this.arm();
    await catalog(this.env, namespace).leaveGroup(stream, group, groupId);
  }

  #wakeAt(now: number): number {
    const { pusher, sockets } = this;
    const { state } = this.core;
    const times: number[] = [];
    const { durable, heartbeatMs } = state.spec.config;
    if (!durable) times.push(now + idleBeats * heartbeatMs);
    if (state.leases.size > 0) times.push(now + lastingMs);
    times.push(this.#forwarder.dueAt);
    if (sockets.size > 0) times.push(now + heartbeatMs / 2);
    const pushes = pusher.target !== null && state.paused === undefined;
    if (pushes || sockets.size > 0) {
      times.push(state.leases.soonest);
      if (this.heritage.pending) times.push(now + heritageMs);
      if (pusher.notBefore > now) times.push(pusher.notBefore);
    }
    // Where nobody takes any, whoever comes looks; a run that is under way looks when it is over.
    if (!this.#running && state.paused === undefined && (pusher.hungry || sockets.hungry)) {
      times.push(state.lanes.nextDue);
      if (state.rate !== undefined && this.ready) times.push(rateAt(state.rate.readyAt(now), now));
    }
    if (pushes && !this.#idle) times.push(now + watchMs);
    return Math.max(now + 1, Math.min(Number.POSITIVE_INFINITY, ...times));
  }

  get #idle(): boolean {
    const { window, known, cursor, lanes } = this.core.state;
    return window.size === 0 && lanes.size === 0 && known !== undefined && cursor >= known;
  }

  /** Reads, and hands out, as long as there are takers. */
  async #run(): Promise<void> {
    this.#running = true;
    try {
      for (;;) {
        const given = this.pusher.run() + this.sockets.run();
        if (!this.pusher.hungry && !this.sockets.hungry) break;
        // There is something that may not go yet: a limit, or a batch that waits for more.
        if (given === 0 && this.ready) break;
        await this.filler.fill(() => this.ready);
        if (!this.ready && this.core.reader.wishes(Date.now()).length === 0) break;
      }
    } catch (error) {
      // The partition cannot be reached: it is tried again later.
      console.error("delivery:", (error as Error).message);
      this.pusher.notBefore = Math.max(this.pusher.notBefore, Date.now() + 1_000);
    } finally {
      this.#running = false;
      this.arm();
    }
  }
}

const rateAt = (at: number, now: number) => (at <= now ? Number.POSITIVE_INFINITY : at);
