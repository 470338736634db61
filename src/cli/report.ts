/** `report`: all streams and groups of a namespace, what is worst first. */
import { type GroupInfo, type Millrace, MillraceError, type StreamInfo } from "../client/index.ts";
import { each } from "./each.ts";
import { exits, paint, print, table } from "./output.ts";
import { partitionsOf } from "./streams.ts";
import { shownAge, shownSize } from "./units.ts";

/** Requests on their way at a time. */
const atOnce = 8;

export interface StreamLine {
  readonly stream: string;
  readonly partitions: number;
  readonly records: number;
  readonly bytes: number;
  readonly archivedBytes: number;
  /** Of the newest record; undefined in an empty stream. */
  readonly lastTimestamp?: string | undefined;
}

export interface GroupLine {
  readonly stream: string;
  readonly group: string;
  readonly lag: number;
  readonly lagSeconds: number;
  readonly inFlight: number;
  /** Keys that wait for another attempt, and keys that wait for somebody to look. */
  readonly retrying: number;
  readonly parked: number;
  readonly deadLetters: number;
  readonly paused: boolean;
  readonly pausedBecause?: string | undefined;
}

/** Something that could not be asked. */
export interface Missed {
  readonly what: string;
  readonly why: string;
}

const stands = ({ paused, lag }: GroupLine) => Number(paused && lag > 0);
const stuck = ({ parked, deadLetters }: GroupLine) => Number(parked + deadLetters > 0);

/** First what stands still and has work, then what somebody must look at, then by the age of what is not finished. */
export function worstFirst(a: GroupLine, b: GroupLine): number {
  return (
    stands(b) - stands(a) ||
    stuck(b) - stuck(a) ||
    b.lagSeconds - a.lagSeconds ||
    b.lag - a.lag ||
    b.deadLetters - a.deadLetters ||
    (`${a.stream}/${a.group}` < `${b.stream}/${b.group}` ? -1 : 1)
  );
}

/** Exit code 1 where something could not be asked. */
export async function report(millrace: Millrace, json?: boolean): Promise<void> {
  const infos: StreamInfo[] = [];
  for await (const info of millrace.streams()) infos.push(info);
  const missed: Missed[] = [];
  /** What was deleted meanwhile is not there. */
  const asked = async <T>(what: string, ask: () => Promise<T>): Promise<T[]> => {
    try {
      return [await ask()];
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code === "network" || error.status === 401) throw error;
      if (error.status !== 404) missed.push({ what, why: error.message });
      return [];
    }
  };
  const streams = (await each(infos, atOnce, ({ stream }) => asked(stream, () => lineOf(millrace, stream)))).flat();
  const groupsOf = async ({ stream }: StreamInfo) => {
    const found: GroupInfo[] = [];
    for await (const info of millrace.stream(stream).groups()) found.push(info);
    return found;
  };
  const found = (await each(infos, atOnce, (info) => asked(info.stream, () => groupsOf(info)))).flat(2);
  const lines = await each(found, atOnce, (info) =>
    asked(`${info.stream}/${info.group}`, () => groupLineOf(millrace, info)),
  );
  const groups = lines.flat().sort(worstFirst);
  streams.sort((a, b) => b.bytes - a.bytes || (a.stream < b.stream ? -1 : 1));
  if (missed.length > 0) process.exitCode = exits.refused;
  if (json) return print(JSON.stringify({ streams, groups, missed }));
  print(textOf(streams, groups, missed, Date.now()));
}

async function lineOf(millrace: Millrace, stream: string): Promise<StreamLine> {
  const numbers = await partitionsOf(millrace, stream);
  const facts = await each(numbers, atOnce, (number) => millrace.stream(stream).partition(number).facts());
  const sum = (of: (one: (typeof facts)[number]) => number) => facts.reduce((total, one) => total + of(one), 0);
  const newest = facts.flatMap(({ lastTimestamp }) => lastTimestamp ?? []).sort();
  return {
    stream,
    partitions: facts.filter(({ sealed }) => !sealed).length,
    records: sum(({ records }) => records),
    bytes: sum(({ bytes }) => bytes),
    archivedBytes: sum(({ archived }) => archived.bytes),
    lastTimestamp: newest.at(-1),
  };
}

async function groupLineOf(millrace: Millrace, { stream, group }: GroupInfo): Promise<GroupLine> {
  const status = await millrace.stream(stream).group(group).status();
  const { lag, lagSeconds, inFlight, deadLetters, paused, pausedBecause } = status;
  const { retrying, parked } = status.lanes as { retrying: number; parked: number };
  return {
    ...{ stream, group, lag, lagSeconds, inFlight, retrying, parked, deadLetters, paused },
    pausedBecause: pausedBecause?.reason,
  };
}

const groupHeader = ["STREAM", "GROUP", "LAG", "AGE", "IN FLIGHT", "RETRYING", "PARKED", "DEAD", ""];
const streamHeader = ["STREAM", "PARTITIONS", "RECORDS", "BYTES", "ARCHIVED", "LAST RECORD"];

export function textOf(
  streams: readonly StreamLine[],
  groups: readonly GroupLine[],
  missed: readonly Missed[],
  now: number,
): string {
  const right = (text: string) => ({ right: text });
  const groupRows = groups.map((one) => [
    one.stream,
    one.group,
    one.lag,
    right(one.lag === 0 ? "-" : shownAge(one.lagSeconds * 1_000)),
    one.inFlight,
    one.retrying,
    one.parked,
    one.deadLetters,
    one.paused ? `paused: ${one.pausedBecause ?? "by hand"}` : "",
  ]);
  const streamRows = streams.map((one) => [
    one.stream,
    one.partitions,
    one.records,
    right(shownSize(one.bytes)),
    right(shownSize(one.archivedBytes)),
    one.lastTimestamp === undefined ? "-" : `${shownAge(now - Date.parse(one.lastTimestamp))} ago`,
  ]);
  const parts = [
    groups.length === 0 ? "no groups" : table(groupHeader, groupRows),
    streams.length === 0 ? "no streams" : table(streamHeader, streamRows),
    ...(missed.length === 0 ? [] : [missed.map(({ what, why }) => paint("red", `${what}: ${why}`)).join("\n")]),
  ];
  return parts.join("\n\n");
}
