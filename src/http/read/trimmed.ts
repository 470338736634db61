/** 410: a place is below the head. What the reader missed, how it goes on, and which snapshot it could begin with. */
import type { Refusal } from "../../../schemas/errors.ts";
import { writeCursor } from "../../log/cursor.ts";
import type { Range } from "../../log/read.ts";
import { problem } from "../problem.ts";
import { noteOf } from "../snapshots/target.ts";
import type { Reading } from "./reading.ts";

export interface Lost extends Range {
  readonly partition: number;
  readonly why: string;
}

/** The answer to a read that was refused. */
export const refused = (reading: Reading, refusal: Refusal): Response =>
  problem(refusal.code === "trimmed" ? trimmedOf(reading) : refusal);

/** An answer that has begun goes on at the heads; what it passes over. */
export function passOver({ sources }: Reading): Lost[] {
  return sources.flatMap((source) => {
    if (source.trimmed === undefined) return [];
    const range = source.skip(source.trimmed);
    return range.from < range.to ? [{ partition: source.partition, ...range, why: "trimmed" }] : [];
  });
}

function trimmedOf({ sources, route, backward }: Reading): Refusal {
  const found = sources.flatMap(({ partition, trimmed }) => (trimmed === undefined ? [] : [{ partition, trimmed }]));
  const places = sources.map(({ partition, trimmed, next }) => [partition, trimmed?.head ?? next] as const);
  const notes = found.flatMap(({ partition, trimmed: { snapshot } }) =>
    snapshot === null ? [] : [noteOf(route, partition, snapshot)],
  );
  const facts = {
    lost: found.map(({ partition, trimmed }) => ({ partition, ...trimmed.lost, why: "trimmed" })),
    cursor: writeCursor({ logId: route.stream.logId, offsets: new Map(places) }),
  };
  const [{ partition, trimmed }] = found;
  const { head, tail, lost } = trimmed;
  if (sources.length === 1) {
    const place = backward ? lost.to - 1 : lost.from;
    const detail = `offset ${place} has been trimmed; the first readable one is ${head}. 'cursor' goes on there`;
    return { code: "trimmed", detail, facts: { head, tail, partition, ...facts, snapshot: notes[0] ?? null } };
  }
  const names = found.map(({ partition }) => partition).join(", ");
  const detail = `offsets of partition ${names} have been trimmed, which 'lost' lists; 'cursor' goes on behind them`;
  return { code: "trimmed", detail, facts: { ...facts, snapshots: notes } };
}
