/** Everybody who reads, from a place to the tail as it is: what he gets, and what he is told he does not get. */
import type { Answer, Json } from "../frame/http.ts";
import { unpacked } from "../frame/packed.ts";
import type { Round } from "../frame/round.ts";
import { elements, members } from "../log/json-text.ts";
import { fromFrame, type Read, readRecord } from "../log/read.ts";
import { follow } from "./followers.ts";
import { dumped, member } from "./others.ts";
import type { Reader } from "./plan.ts";
import type { Stored, Truth } from "./stored.ts";

export interface Told {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

export class Seen {
  readonly records: Read[] = [];
  readonly told: Told[] = [];
  /** It came to the tail within its bounds. */
  ended = false;

  tell(list: Json, partition: number | null): void {
    for (const one of Array.isArray(list) ? list : [list]) this.told.push({ partition, ...one });
  }
}

/** A reader who knows the offset, or the time, at which he begins. */
export interface Reading {
  readonly round: Round;
  readonly stream: Stored;
  readonly reader: Reader;
  readonly from: string;
  readonly filter: readonly (readonly [string, string])[];
  /** Answers that a reader may need at most; beyond it goes round in circles. */
  readonly answersMax: number;
}

export function readingOf(stream: Stored, reader: Reader): Reading {
  const concerned = stream.truths.filter(
    ({ partition }) => reader.partition === null || reader.partition === partition,
  );
  const tails = concerned.reduce((sum, { tail }) => sum + tail, 0);
  return {
    round: stream.round,
    stream,
    reader,
    from: fromOf(reader, concerned),
    filter: filterOf(stream, reader),
    answersMax: 4 * tails + 50,
  };
}

const filterOf = ({ plan }: Stored, { key }: Reader) =>
  key === null ? [] : [plan.partitions === 1 ? (["key", `key-${key}`] as const) : (["type", `type-${key}`] as const)];

/** Whether the reader's filter lets it through. */
export function lets({ filter }: Reading, { fields }: Read): boolean {
  return filter.every(([name, value]) => fields[name as "key"] === value);
}

/** The record at that share of the partition. */
export function placed({ from }: Reader, { records }: Truth): Read | undefined {
  if (from.at === "earliest") return undefined;
  const list = [...records.values()];
  return list[Math.floor(from.share * list.length)];
}

function fromOf(reader: Reader, [truth]: readonly Truth[]): string {
  const place = placed(reader, truth as Truth);
  if (reader.way === "backward") return "latest";
  if (place === undefined) return "earliest";
  return reader.from.at === "offset" ? String(place.offset) : new Date(place.at).toISOString();
}

export async function read(reading: Reading): Promise<Seen> {
  const seen = new Seen();
  const { way } = reading.reader;
  if (way === "events" || way === "socket" || way === "packed") await follow(reading, seen);
  else if (way === "group") await member(reading, seen);
  else if (way === "dump") await dumped(reading, seen);
  else if (way === "ndjson") await all(reading, seen);
  else await pages(reading, seen);
  return seen;
}

export function queryOf({ reader, filter }: Reading, more: readonly (readonly [string, string])[]): string {
  const query = [...(reader.partition === null ? [] : [["partition", String(reader.partition)]]), ...filter, ...more];
  return new URLSearchParams(query as [string, string][]).toString();
}

async function get(reading: Reading, more: readonly (readonly [string, string])[], accept: string): Promise<Answer> {
  const path = `${reading.stream.path}/records?${queryOf(reading, more)}`;
  const answer = await reading.round.ask("GET", path, { headers: { accept } });
  const refused = () =>
    `GET ${path} (${accept}) was answered ${answer.status}: ${answer.body.toString().slice(0, 500)}`;
  reading.round.checks.that("served", answer.status === 200, refused, [reading.stream.name]);
  return answer;
}

async function pages(reading: Reading, seen: Seen): Promise<void> {
  const { way, window } = reading.reader;
  const backward = way === "backward";
  let from = reading.from;
  for (let answers = 0; answers < reading.answersMax; answers++) {
    const query = [
      ["from", from],
      ["limit", String(window)],
      ...(backward ? [["direction", "backward"]] : []),
    ] as const;
    const answer = await get(
      reading,
      query as never,
      way === "frames" ? "application/vnd.millrace.frames" : "application/json",
    );
    const next = way === "frames" ? takeFrames(reading, answer, seen) : takePage(reading, answer, seen);
    if (next.ended || next.at === undefined) {
      seen.ended = true;
      return;
    }
    from = next.at;
  }
}

interface Next {
  readonly at: string | undefined;
  readonly ended: boolean;
}

function takePage({ reader }: Reading, { body, json }: Answer, seen: Seen): Next {
  const list = elements(members(body.toString()).get("records") as string).map((text) => readRecord(text, false));
  seen.records.push(...list);
  if (json.damaged !== undefined) seen.tell(json.damaged, reader.partition);
  const { next, upToDate } = json;
  if (reader.way === "backward") return { at: next === null ? undefined : String(next), ended: next === null };
  return { at: String(next), ended: upToDate === true };
}

function takeFrames({ reader }: Reading, { body, headers }: Answer, seen: Seen): Next {
  const partition = reader.partition as number;
  const { records, holes } = unpacked(body);
  const from = Number(headers["millrace-from"] ?? 0);
  const shown = records.filter(({ offset }) => offset >= from);
  seen.records.push(...shown.map((record) => fromFrame(record, partition)));
  seen.tell(holes, partition);
  return { at: headers["millrace-next"] as string | undefined, ended: headers["millrace-up-to-date"] === "true" };
}

async function all(reading: Reading, seen: Seen): Promise<void> {
  const answer = await get(
    reading,
    [
      ["from", reading.from],
      ["maxBytes", "all"],
    ],
    "application/x-ndjson",
  );
  for (const line of answer.body.toString().split("\n")) {
    if (line === "") continue;
    const { damaged, lost, partition } = JSON.parse(line);
    const missing = damaged ?? lost;
    if (missing !== undefined) seen.tell(missing, partition ?? reading.reader.partition);
    else seen.records.push(readRecord(line, true));
  }
  seen.ended = true;
}
