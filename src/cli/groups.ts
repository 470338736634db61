/** `groups …`: which there are, how far they are, and what moves them. */
import { setTimeout as pause } from "node:timers/promises";
import type { Group, Millrace } from "../client/index.ts";
import { noPlace, readFrom } from "../log/position.ts";
import { confirm } from "./confirm.ts";
import { header, row } from "./group-config.ts";
import { answer, paint, print, table, Usage } from "./output.ts";
import { placeOf } from "./units.ts";

export async function list(millrace: Millrace, stream: string, json?: boolean): Promise<void> {
  const rows: ReturnType<typeof row>[] = [];
  for await (const info of millrace.stream(stream).groups()) {
    if (json) print(JSON.stringify(info));
    else rows.push(row(info));
  }
  if (!json)
    print(
      rows.length === 0 ? "no groups; make one with: millrace groups create <stream> <group>" : table(header, rows),
    );
}

interface PartitionStatus {
  partition: number;
  head: number;
  cursor: number;
  tail: number;
  lag: number;
  inFlight: number;
  deadLetters: number;
  lanes: { retrying: number; parked: number; others: number; full: boolean };
  members: unknown[];
  paused?: { reason: string };
}

/** Once, or again and again in the same place of the terminal until it is stopped; elsewhere with the time. */
export async function status(group: Group, watch: boolean, json?: boolean): Promise<void> {
  for (let lines = 0; ; ) {
    const now = await group.status();
    if (json) print(JSON.stringify(now));
    else {
      const time = watch && !process.stdout.isTTY ? `${new Date().toISOString()}  ` : "";
      const text = `${time}${statusText(group.name, now as never)}`;
      if (lines > 0) process.stdout.write(`\u001b[${lines}A\u001b[J`);
      print(text);
      lines = process.stdout.isTTY ? text.split("\n").length : 0;
    }
    if (!watch) return;
    await pause(1_000);
  }
}

function statusText(
  name: string,
  now: { lag: number; lagSeconds: number; inFlight: number; deadLetters: number; partitions: PartitionStatus[] },
): string {
  const head = `${paint("bold", name)}  lag ${now.lag} (${now.lagSeconds.toFixed(1)} s)  in flight ${now.inFlight}  dead letters ${now.deadLetters}`;
  const columns = ["PARTITION", "FINISHED BELOW", "READ BELOW", "TAIL", "LAG"];
  const rows = now.partitions.map((one) => [
    one.partition,
    one.head,
    one.cursor,
    one.tail,
    one.lag,
    one.inFlight,
    one.deadLetters,
    one.lanes.retrying + one.lanes.parked + one.lanes.others,
    one.members.length,
    one.paused === undefined ? "" : `paused: ${one.paused.reason}`,
  ]);
  return `${head}\n${table([...columns, "IN FLIGHT", "DEAD LETTERS", "LANES", "MEMBERS", ""], rows)}`;
}

export interface SeekArgs {
  group: string;
  to: string;
  partition?: number;
  yes?: boolean;
  json?: boolean;
}

/** Moves it, and prints where it stood and where it stands. */
export async function seek(group: Group, args: SeekArgs): Promise<void> {
  const { to, partition } = args;
  const place = /^\d+$/.test(to) ? Number(to) : placeOf(to);
  // Before anybody is asked whether it is meant.
  if (readFrom(String(place), Date.now()) === undefined) throw new Usage(`to: ${noPlace(to)}`);
  const { partitions } = (await group.status()) as unknown as { partitions: PartitionStatus[] };
  await confirm(
    args,
    `'${args.group}' will be moved to ${to}: its leases, and its dead letters from there on, are dropped`,
  );
  const answer = await group.seek(place, partition === undefined ? {} : { partition });
  if (args.json) return print(JSON.stringify(answer));
  const before = new Map(partitions.map(({ partition, head }) => [partition, head]));
  const moved = (answer as { partitions: { partition: number; offset: number }[] }).partitions;
  const rows = moved.map(({ partition, offset }) => [partition, before.get(partition) ?? "-", offset]);
  print(table(["PARTITION", "FINISHED BELOW", "NOW"], rows));
}

export async function remove(group: Group, args: { group: string; yes?: boolean; json?: boolean }): Promise<void> {
  // That it is not there is a mistake here, though not to the library.
  const { paused } = await group.info();
  await confirm(
    args,
    `the group '${args.group}'${paused ? ", which is paused," : ""} will be deleted, with its place and its dead letters`,
  );
  await group.delete();
  answer(args.json, { deleted: args.group }, `deleted ${args.group}`);
}
