/** What keeps a delivery going: reading, pushing, sockets, saving, and the alarm for what must happen without being asked. */
import type { Delivery } from "../delivery/delivery.ts";
import { Heritage } from "../delivery/heritage.ts";
import { heard } from "../delivery/pausing.ts";
import type { Read } from "../delivery/wish.ts";
import { Arming, watchMs } from "./arming.ts";
import { Attempts } from "./attempts.ts";
import { Callers } from "./callers.ts";
import { Changes } from "./changes.ts";
import { Filler } from "./filler.ts";
import { Forwarder } from "./forwarder.ts";
import { Inheriting } from "./inheriting.ts";
import { look } from "./looking.ts";
import { Pusher, pushMember } from "./pusher.ts";
import { Sharing } from "./sharing.ts";
import { Sockets } from "./sockets.ts";
import { catalog, type Env } from "./stubs.ts";

/** Acks of pushes and sockets are written down together, by number or after a moment: a crash in between repeats them. */
const unsavedMax = 256;
const saveMs = 50;
/** Heartbeats after which a group that is not durable has lost its last member. */
const idleBeats = 2;
/** After the partition, or the catalog, could not be reached. */
const retryMs = 1_000;

export class Keeper {
  readonly heritage: Heritage;
  readonly inheriting: Inheriting;
  readonly filler: Filler;
  readonly attempts: Attempts;
  readonly pusher: Pusher;
  readonly sockets: Sockets;
  readonly changes: Changes;
  readonly callers: Callers;
  readonly #forwarder: Forwarder;
  readonly #sharing: Sharing;
  #saving: ReturnType<typeof setTimeout> | undefined;
  readonly #arming: Arming;
  #running = false;
  /** Not before this, in ms since 1970: something could not be reached. */
  #notBefore = 0;
  /** When a member was last here, in ms since 1970. */
  #usedAt = Date.now();

  constructor(
    readonly ctx: DurableObjectState,
    readonly env: Env,
    id: string,
    readonly core: Delivery,
  ) {
    this.heritage = new Heritage(core);
    this.inheriting = new Inheriting(env, id, this.heritage);
    this.filler = new Filler(env, id, core, this.inheriting);
    this.attempts = new Attempts(core.state);
    this.sockets = new Sockets(ctx, this);
    core.members.cut(pushMember, "its connection was cut by a restart", Date.now());
    this.pusher = new Pusher(this);
    this.changes = new Changes(this, ctx.storage);
    this.callers = new Callers(
      (member) => core.room.ready(Date.now(), member),
      () => core.room.readyCount(Date.now()),
      () => core.state.sealed,
    );
    this.#forwarder = new Forwarder(env, core, () => this.stopped);
    this.#sharing = new Sharing(env, core, () => this.stopped);
    this.#arming = new Arming(ctx.storage, () => this.#tick(), core.state.spec.config.durable);
  }

  /** To be called where it comes back: whoever has asked, and for whatever, it goes on with what a crash, or sleep, broke off. */
  goingOn(): this {
    this.kick();
    return this;
  }

  /** It has heard what is new of the group. A pause of its own that the catalog took for one of before that is told again. */
  configured(): void {
    if (this.core.state.paused?.untold) void this.#tellPaused();
    this.kick();
    this.arm();
  }

  /** A member is here. */
  used(): void {
    this.#usedAt = Date.now();
  }

  /** No member has been here for some time. */
  get idle(): boolean {
    const { push, heartbeatMs } = this.core.state.spec.config;
    const taken = this.sockets.size > 0 || this.callers.size > 0 || push !== null;
    return !taken && Date.now() - this.#usedAt >= idleBeats * heartbeatMs;
  }

  /** Somebody is there to take records. */
  get wanted(): boolean {
    return this.callers.size > 0 || this.pusher.hungry || this.sockets.hungry;
  }

  /** Records were appended: taken as they come, where there is somebody for them and nothing between. */
  wake(read: Read): number {
    const { state, reader } = this.core;
    reader.learn(read.tail);
    if (read.sealed) state.sealed = true;
    const caughtUp = state.known !== undefined && state.cursor >= state.known;
    if (read.from !== -1 && read.to <= state.cursor) return state.cursor;
    // What was forgotten since it was sent may be among it.
    const sound = read.from >= state.forgotten.to;
    const fits = sound && read.from === state.cursor && this.wanted && reader.wantsMore && !this.filler.busy;
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

  /** Goes on with whatever can go on. */
  kick(): void {
    this.callers.offer();
    this.inheriting.changed();
    this.#sharing.changed();
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

  /** The partition that this one continues has news, or, where it begins anew, so does this one. */
  async inherit(again: boolean): Promise<void> {
    const begun = again ? this.inheriting.beginAnew() : undefined;
    this.inheriting.news();
    this.callers.wakeAll();
    this.kick();
    this.arm();
    await begun;
  }

  /** Learns where the log has come to, and what of it is there: for the status. */
  look(): Promise<void> {
    return look(this);
  }

  /** The group stands still: here at once, and on its other partitions when the catalog has told them. */
  pause(reason: string): void {
    this.core.state.pause({ reason, at: Date.now(), untold: true });
    this.arm();
    void this.#tellPaused();
  }

  async alarm(): Promise<void> {
    this.#arming.fired();
    await this.#tick();
  }

  stop(reason: string): void {
    clearTimeout(this.#saving);
    this.#arming.stop();
    this.attempts.stop();
    this.inheriting.stop();
    this.sockets.closeAll(reason);
    this.callers.stop();
  }

  /** The group is gone. */
  get stopped(): boolean {
    return this.inheriting.stopped;
  }

  /** Sees to the next thing that must happen though nobody asks. */
  arm(): void {
    if (this.stopped) return;
    const now = Date.now();
    this.#arming.by(this.#wakeAt(now), this.#waitersAt(now), now);
  }

  async #tick(): Promise<void> {
    const now = Date.now();
    this.core.expire(now, Math.random);
    this.sockets.beat(now);
    if (this.core.state.paused?.untold) void this.#tellPaused();
    if (this.inheriting.tellAt <= now) void this.inheriting.tellUnheard().then(() => this.kick());
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

  async #tellPaused(): Promise<void> {
    const { state } = this.core;
    const { namespace, stream, group, groupId, version } = state.spec;
    const { paused } = state;
    if (paused === undefined) return;
    const { reason, at } = paused;
    try {
      const told = await catalog(this.env, namespace).setPaused(stream, group, { reason, at }, groupId, version);
      if (this.stopped) return;
      if (told.ok) heard(state, paused, told.value);
      else if (state.paused === paused) state.pause({ reason, at });
    } catch (error) {
      // The alarm tries again.
      console.error("delivery:", (error as Error).message);
    }
  }

  #wakeAt(now: number): number {
    const { pusher, sockets, inheriting } = this;
    const { state } = this.core;
    const times: number[] = [];
    const { durable, heartbeatMs } = state.spec.config;
    if (!durable) times.push(now + idleBeats * heartbeatMs);
    if (durable) times.push(state.leases.saveAt);
    if (state.leases.size > 0) times.push(state.leases.soonest);
    if (!state.stands) times.push(state.leases.restoredDue(now));
    if (state.paused?.untold) times.push(now + retryMs);
    times.push(this.#forwarder.dueAt, this.#sharing.dueAt, inheriting.tellAt);
    if (sockets.size > 0) times.push(now + heartbeatMs / 2, sockets.overAt);
    const pushes = pusher.target !== null && state.paused === undefined;
    if (pushes || sockets.size > 0) {
      times.push(inheriting.dueAt);
      for (const at of [pusher.askAt, this.#notBefore]) if (at > now) times.push(at);
    }
    // Where nobody takes any, whoever comes looks; a run that is under way looks when it is over.
    const hungry = pusher.hungry || sockets.hungry;
    if (!this.#running && state.paused === undefined && hungry) times.push(this.core.room.lookAt(now));
    if (pushes && !this.#idle) times.push(now + watchMs);
    return Math.max(now + 1, Math.min(Number.POSITIVE_INFINITY, ...times));
  }

  /** When there may be something for members that wait. */
  #waitersAt(now: number): number {
    if (this.callers.size === 0) return Number.POSITIVE_INFINITY;
    const at = Math.min(this.core.room.lookAt(now), this.inheriting.dueAt);
    return Math.max(now + 1, this.#notBefore, at);
  }

  /** Nothing is at hand, and nothing is to be read: what waits in lanes has its time. */
  get #idle(): boolean {
    const { window, known, cursor, lanes } = this.core.state;
    return window.size === 0 && lanes.hungry.size === 0 && known !== undefined && cursor >= known;
  }

  /** Reads, and hands out, as long as there are takers. */
  async #run(): Promise<void> {
    this.#running = true;
    const untried = () => this.core.room.ready(Date.now(), undefined, "untried");
    try {
      await this.filler.readOverdue();
      while (!this.stopped && Date.now() >= this.#notBefore) {
        // Read first: what has failed must not take the room, or the turn, that what was not read yet would have.
        const reads = this.wanted && this.filler.wants(untried);
        if (reads) await this.filler.fill(untried);
        if (this.stopped) break;
        const given = this.pusher.run() + this.sockets.run();
        this.callers.offer();
        // There is nothing more, or something that may not go yet: a limit, or a batch that waits for more.
        if (!this.wanted || (given === 0 && !reads)) break;
      }
    } catch (error) {
      // The partition cannot be reached: it is tried again later.
      console.error("delivery:", (error as Error).message);
      this.#notBefore = Date.now() + retryMs;
    } finally {
      this.#running = false;
      this.sockets.settleLoans();
      this.arm();
    }
  }
}
