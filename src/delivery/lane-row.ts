/** A lane in memory, and as it is kept. */
import type { Lane } from "./item.ts";
import type { LaneRow } from "./store.ts";

export const laneOf = (row: LaneRow): Lane => ({
  id: row.id,
  kind: row.kind,
  key: row.key ?? undefined,
  from: row.start,
  // What has failed was read, whatever a dump says.
  exact: row.exact === 1 || row.state === "retry" || row.state === "parked",
  read: row.start,
  // Which keys are held the split partition says, whenever this one comes back.
  state: row.state === "held" ? "open" : row.state,
  held: false,
  attempts: row.attempts,
  due: row.due,
  tries: JSON.parse(row.tries),
  redriven: row.redriven === 1,
  voided: row.voided ?? 0,
  queue: [],
  behind: row.waiting ?? 0,
  counted: row.counted ?? row.start,
  ahead: row.ahead ?? 0,
  time: row.time ?? undefined,
  listed: false,
  timed: undefined,
  stored: true,
});

export const rowOf = (lane: Lane): LaneRow => ({
  id: lane.id,
  kind: lane.kind,
  key: lane.key ?? null,
  start: lane.from,
  state: lane.state,
  attempts: lane.attempts,
  due: lane.due,
  tries: JSON.stringify(lane.tries),
  redriven: lane.redriven ? 1 : 0,
  voided: lane.voided,
  waiting: lane.kind === "whole" ? 0 : lane.queue.filter(({ offset }) => offset < lane.counted).length + lane.behind,
  counted: lane.counted,
  time: lane.time ?? null,
  exact: lane.exact ? 1 : 0,
  ahead: lane.ahead,
});
