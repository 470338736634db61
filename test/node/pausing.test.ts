/**
 * Who says that a group stands still: operators, its partitions, and what reaches whom. Words come late, in any order, or not at
 * all, while the stream grows and the group is changed; in the end every partition does what the catalog says.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import type { Group, Pause } from "../../src/catalog/group.ts";
import type { ToTell } from "../../src/catalog/groups.ts";
import { Admin } from "../../src/delivery/admin.ts";
import { Delivery } from "../../src/delivery/delivery.ts";
import { heard } from "../../src/delivery/pausing.ts";
import type { DeliverySpec } from "../../src/delivery/spec.ts";
import type { Paused } from "../../src/delivery/told.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { specOf, value } from "../cases/delivery.ts";
import { times } from "../cases/long.ts";
import { nodeSql } from "./sqlite.ts";

const partitions = 2;
const ids = { log: "a".repeat(20), group: "b".repeat(20) };

/** An order of an operator to all partitions. */
interface Order {
  readonly paused: boolean;
  readonly version: number;
  readonly because: Pause | undefined;
  /** Partitions that have yet to obey; one that never will fails the order. */
  left: number;
  failed: boolean;
}

type Word =
  | { readonly is: "spec"; readonly job: ToTell; readonly spec: DeliverySpec }
  | { readonly is: "order"; readonly partition: number; readonly order: Order }
  | { readonly is: "self"; readonly partition: number; readonly paused: Paused; readonly version: number };

class World {
  readonly catalog = new Catalog(nodeSql(), "default");
  readonly sqls: Sql[] = [];
  readonly deliveries: Delivery[] = [];
  readonly words: Word[] = [];
  now = 1;
  /** The order that was answered, and that nobody has said anything against since. */
  stands: Order | undefined;

  constructor() {
    value(this.catalog.put("s", { partitions }, ids.log, 0));
    for (let number = 0; number < partitions; number++) value(this.catalog.open("s", number, 0));
    value(this.groups.put(this.stream, "g", {}, ids.group, 0));
    for (const job of this.groups.due(1)) {
      const sql = nodeSql();
      this.sqls[job.partition] = sql;
      this.deliveries[job.partition] = Delivery.create(sql, this.specFor(job.partition), 0, this.terms());
      this.groups.settle(job, true, 1);
    }
  }

  get groups() {
    return this.catalog.groups;
  }
  get stream() {
    return value(this.catalog.stream("s"));
  }
  get group(): Group {
    return value(this.groups.get(this.stream, "g"));
  }

  terms() {
    return { lanesMax: 10, now: this.now, draw: () => [1, 2, 3, 4] as never, chance: () => 0 };
  }

  specFor(partition: number): DeliverySpec {
    const { version, config, paused, because } = this.group;
    const told = { version, config, paused, ...(because === undefined ? {} : { because }) };
    return { ...specOf(), ...told, groupId: ids.group, partition };
  }

  operator(paused: boolean): void {
    const because = paused ? { reason: `by hand at ${this.now}`, at: this.now } : undefined;
    const { version } = value(this.groups.setPaused(this.stream, "g", because, undefined, this.now));
    const order: Order = { paused, version, because, left: partitions, failed: false };
    this.stands = undefined;
    for (let partition = 0; partition < partitions; partition++) this.words.push({ is: "order", partition, order });
    this.last = order;
  }
  last: Order | undefined;

  tell(at: number): void {
    const due = this.groups.due(Number.MAX_SAFE_INTEGER);
    if (due.length === 0) return;
    const job = due[at % due.length];
    this.words.push({ is: "spec", job, spec: this.specFor(job.partition) });
  }

  hear(word: Word): void {
    const delivery = this.deliveries[word.is === "spec" ? word.job.partition : word.partition];
    if (word.is === "spec") {
      delivery.configure(word.spec, this.now);
      this.groups.settle(word.job, true, this.now);
    } else if (word.is === "order") {
      const { order } = word;
      const { because, version } = order;
      const admin = new Admin(delivery);
      if (because === undefined) admin.resume({ version }, this.now);
      else admin.pause(because.reason, because.at, version, this.now);
      if (--order.left === 0 && !order.failed && order === this.last) this.stands = order;
    } else {
      const { paused, version } = word;
      const was = this.group.paused;
      const told = this.groups.setPaused(this.stream, "g", paused, ids.group, this.now, version);
      if (this.group.paused !== was) this.stands = this.last = undefined;
      if (told.ok) heard(delivery.state, paused, told.value);
    }
  }

  lose(word: Word): void {
    if (word.is === "spec") this.groups.settle(word.job, false, this.now);
    if (word.is === "order") word.order.failed = true;
  }

  self(partition: number): void {
    const { state } = this.deliveries[partition];
    if (state.paused === undefined) state.pause({ reason: "410", at: this.now, untold: true });
    if (!this.stands?.paused) this.stands = undefined;
    if (!this.last?.paused) this.last = undefined;
  }

  tellSelf(partition: number): void {
    const { paused, spec } = this.deliveries[partition].state;
    if (paused?.untold) this.words.push({ is: "self", partition, paused, version: spec.version });
  }

  crash(partition: number): void {
    this.deliveries[partition] = Delivery.open(this.sqls[partition], this.terms()) as Delivery;
  }

  /** Everything that is due comes through. */
  settle(): void {
    for (let rounds = 0; rounds < 20; rounds++) {
      for (const word of this.words.splice(0)) this.hear(word);
      for (let partition = 0; partition < partitions; partition++) this.tellSelf(partition);
      for (const job of this.groups.due(Number.MAX_SAFE_INTEGER))
        this.words.push({ is: "spec", job, spec: this.specFor(job.partition) });
      if (this.words.length === 0) return;
    }
    throw new Error("it does not come to rest");
  }
}

type Step = readonly [what: string, at: number];
const often = Array.from({ length: 8 }, () => "hear");
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("pause", "resume", "grow", "change", "tell", "tell", "lose", "self", "say", "crash", ...often),
  fc.nat(99),
);

function take(world: World, [what, at]: Step): void {
  world.now++;
  const partition = at % partitions;
  if (what === "pause" || what === "resume") world.operator(what === "pause");
  if (what === "grow") world.groups.mapChanged(ids.log, world.now);
  if (what === "change") world.groups.put(world.stream, "g", { maxInFlight: at + 1 }, "", world.now);
  if (what === "tell") world.tell(at);
  if (what === "self") world.self(partition);
  if (what === "say") world.tellSelf(partition);
  if (what === "crash") world.crash(partition);
  if ((what === "hear" || what === "lose") && world.words.length > 0) {
    const [word] = world.words.splice(at % world.words.length, 1);
    if (what === "hear") world.hear(word);
    else world.lose(word);
  }
}

test("what an operator says of a group is what its partitions do, whatever is lost, late, or bumps the version", () => {
  let answered = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const world = new World();
      for (const one of steps) {
        take(world, one);
        const { stands } = world;
        if (stands === undefined) continue;
        answered++;
        // What was answered holds at once, and is not undone by what comes late.
        for (const { state } of world.deliveries) expect(state.paused !== undefined).toBe(stands.paused);
      }
      world.settle();
      const { paused, because } = world.group;
      for (const { state } of world.deliveries) {
        expect(state.paused !== undefined).toBe(paused);
        if (paused) expect(state.paused).toMatchObject(because ?? {});
      }
    }),
    { numRuns: times(600, 3_000) },
  );
  expect(answered).toBeGreaterThan(times(60, 500));
});
