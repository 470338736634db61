/** How the catalog's decisions reach partitions and deliveries. */

import type { RestoreStand } from "../../schemas/dump-routes.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { StreamConfig } from "../../schemas/stream.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Group } from "../catalog/group.ts";
import type { TellRow } from "../catalog/group-store.ts";
import { deliveriesOf } from "../catalog/groups.ts";
import type { Stream } from "../catalog/stream.ts";
import type { DeliverySpec } from "../delivery/spec.ts";
import { hex } from "../lib/bytes.ts";
import type { Inheritance } from "../log/inheritance.ts";
import { positionOf, readFrom } from "../log/position.ts";
import type { Position } from "../log/read.ts";
import type { Retention, Spec } from "../log/spec.ts";
import { delivery, type Env, partition } from "./stubs.ts";

export class Telling {
  constructor(
    readonly env: Env,
    readonly core: Catalog,
  ) {}

  /** Brings a partition up to date, and creates it where it is not there. `again`: it was opened before. */
  async partition(stream: Stream, number: number, again = true): Promise<Result<undefined>> {
    const spec = this.#spec(stream, number);
    let done = await this.stub(stream, number).configure(spec, undefined, again);
    if (!done) {
      const inheritance = await this.#inheritance(stream, number);
      done = await this.stub(stream, number).configure(spec, inheritance, again);
    }
    if (done === "deleting") {
      return refuse("unavailable", `the log ${stream.logId} is still being deleted; try again in a moment`);
    }
    if (done !== "foreign") return ok(undefined);
    return refuse("conflict", "another namespace has the stream's log; restore it under a new id");
  }

  /** Makes a partition that is to be restored. */
  prepare(stream: Stream, number: number): Promise<Result<undefined>> {
    return this.stub(stream, number).prepare(this.#spec(stream, number));
  }

  /** What has come of a partition that is being restored; undefined where nothing has. */
  async stand(stream: Stream, number: number): Promise<RestoreStand | undefined> {
    const stand = await this.stub(stream, number).order("restoreStand");
    return stand.ok ? stand.value : undefined;
  }

  /** Where a group's place stands; undefined where not all of it has come. Its partition knows from then on that it follows. */
  async placed(stream: Stream, id: string, number: number): Promise<number | undefined> {
    const place = await delivery(this.env, id, number).restore(this.core.namespace, []);
    if (!place.ok || !place.value.complete) return undefined;
    return (await this.stub(stream, number).order("restoreFollower", id)).ok ? place.value.floor : undefined;
  }

  #spec(stream: Stream, number: number): Spec {
    const { deduplicationWindowMs, timestamps, offsets, keyIndex, recordBytesMax, batchBytesMax } = stream.config;
    const { logId, version, map } = stream;
    const { sealed, parent } = map[number];
    return {
      logId,
      partition: number,
      version,
      deduplicationWindowMs,
      timestamps,
      offsets,
      keyIndex,
      recordBytesMax,
      batchBytesMax,
      retention: retentionOf(stream.config),
      names: { namespace: this.core.namespace, stream: stream.name },
      sealed,
      continues: parent !== undefined,
    };
  }

  /** Brings a stream's partitions up to date. One that cannot be reached is told by the next append that it gets. */
  async all(stream: Stream): Promise<void> {
    await Promise.allSettled(this.core.opened(stream.logId).map((number) => this.partition(stream, number)));
  }

  /** How many records a stream's bounds keep that these would not. Throws where a partition cannot be asked. */
  async drops(planned: Stream): Promise<number> {
    const { config, created, logId } = planned;
    // What is deleted as a whole keeps nothing.
    const ended = config.ttlMs !== null && created + config.ttlMs <= Date.now();
    const bounds = ended ? null : retentionOf(config);
    const before = this.core.streamOfLog(logId);
    if (before === undefined || JSON.stringify(retentionOf(before.config)) === JSON.stringify(bounds)) return 0;
    const lost = this.core.opened(logId).map(async (number) => {
      const answer = await this.stub(planned, number).order("loss", bounds);
      if (answer.ok) return answer.value;
      // It was noted as opened, and never came to be.
      if ("moved" in answer && answer.moved === 0) return 0;
      throw new Error(`partition ${number} does not say what it would lose`);
    });
    return (await Promise.all(lost)).reduce((sum, records) => sum + records, 0);
  }

  /** Brings a delivery up to date. One whose group, or stream, is gone has nothing to be told. */
  async delivery({ id, partition: number }: TellRow): Promise<void> {
    const found = this.core.groups.groupOf(id);
    const stream = found === undefined ? undefined : this.core.streamOfLog(found.log);
    if (found === undefined || stream === undefined) return;
    const { group } = found;
    const parent = this.#ancestor(stream, number);
    const { from, to } = stream.map[number];
    const spec: DeliverySpec = {
      namespace: this.core.namespace,
      stream: stream.name,
      group: group.name,
      logId: stream.logId,
      groupId: group.id,
      partition: number,
      version: group.version,
      config: group.config,
      start: number < group.partitions ? startOf(group, number) : { at: "earliest" },
      ...(parent === undefined ? {} : { parent }),
      range: { from, to },
      paused: group.paused,
      ...(group.because === undefined ? {} : { because: group.because }),
      ...(group.restored ? { restored: true as const } : {}),
      share: this.core.groups.shares.of(stream, id),
      privateTargets: Boolean(this.env.MILLRACE_PUSH_PRIVATE),
    };
    try {
      const answer = await delivery(this.env, id, number).configure(spec);
      // A partition that has been restored learns that it is in use when it is configured.
      if (!answer.ok && "moved" in answer) await this.partition(stream, number);
      if (!answer.ok) throw new Error(`the delivery ${id}/${number} cannot begin: ${JSON.stringify(answer)}`);
    } finally {
      // Deleted meanwhile: what was just created, or follows again, would be found by nobody. Of what failed nobody knows.
      if (this.core.groups.groupOf(id) === undefined) this.core.purges.stray(id, number, Date.now());
    }
  }

  /** Whether a group is one that goes with its last member, and no partition has a member of it. */
  async deserted(name: string, group: string, groupId: string): Promise<boolean> {
    const stream = this.core.stream(name);
    const found = stream.ok ? this.core.groups.get(stream.value, group) : stream;
    if (!stream.ok || !found.ok || found.value.id !== groupId || found.value.config.durable) return false;
    const id = deliveriesOf(stream.value.logId, groupId);
    const idle = await Promise.all(this.core.opened(id).map((number) => delivery(this.env, id, number).idle()));
    return idle.every((one) => one);
  }

  stub(stream: Stream, number: number) {
    return partition(this.env, stream.logId, number, stream.config.placement);
  }

  /** The nearest ancestor that ever held anything: it has its own inheritance to hand on. */
  #ancestor(stream: Stream, number: number): number | undefined {
    const opened = this.core.opened(stream.logId);
    let ancestor = stream.map[number].parent;
    while (ancestor !== undefined && !opened.includes(ancestor)) ancestor = stream.map[ancestor].parent;
    return ancestor;
  }

  async #inheritance(stream: Stream, number: number): Promise<Inheritance | null> {
    const ancestor = this.#ancestor(stream, number);
    if (ancestor === undefined) return null;
    const answer = await this.stub(stream, ancestor).order("handOn");
    if (answer.ok) return answer.value;
    // It was noted as opened, and the call that should have created it never came through.
    if ("moved" in answer && answer.moved === 0) return null;
    throw new Error(`partition ${ancestor} does not hand on what partition ${number} inherits`);
  }
}

/** The part of a configuration that a partition's past goes by. */
function retentionOf({
  retentionAgeMs,
  retentionBytes,
  retentionRecords,
  keepForGroups,
  keepForSnapshot,
  snapshotsKept,
  archive,
  archiveAgeMs,
  compact,
  deleteMarkerGraceMs,
  segmentEvents,
  parquet,
}: StreamConfig): Retention {
  const bounds = { retentionAgeMs, retentionBytes, retentionRecords, keepForGroups, keepForSnapshot };
  const later = { archive, archiveAgeMs, compact, deleteMarkerGraceMs, segmentEvents, parquet, snapshotsKept };
  return { ...bounds, ...later };
}

/** Where a group begins on a partition; the HTTP layer has checked the text. So long ago is before it was created, whenever that is asked. */
function startOf({ config, created }: Group, number: number): Position {
  const from = readFrom(String(config.start), created);
  return from === undefined ? { at: "earliest" } : positionOf(from, number, false);
}

/** 80 random bits: the identity of a log, or a group, unique over all deployments. */
export function newId(): string {
  return hex(crypto.getRandomValues(new Uint8Array(10)));
}
