/** Plans that promises are broken in: a few steps, and whoever stands between. */
import type { Lie } from "./liar.ts";
import type { Drawn, Follow, Query, Step, Write } from "./plan.ts";

export interface Proof {
  readonly steps: readonly Step[];
  readonly partitions?: number;
  readonly retention?: number;
  readonly stamps?: boolean;
  /** A new one each time: some count. */
  lie(): Lie;
}

export const drawn = (key: number | null, more: Partial<Drawn> = {}): Drawn => ({
  key,
  id: false,
  color: "red",
  type: null,
  shape: "plain",
  ...more,
});
export const write = (records: readonly Drawn[], more: Partial<Write> = {}): Write => ({
  door: "json",
  records,
  retry: false,
  ...more,
});
export const append = (...writes: Write[]): Step => ({ do: "append", writes });
export const three = [drawn(0), drawn(1), drawn(0)];
export const plain: Query = {
  partition: null,
  filter: {},
  from: { at: "earliest" },
  backward: false,
  limit: 2,
  maxBytes: null,
  accept: "json",
  by: "next",
  turnAfter: null,
};
export const snapshot = (share: number): Step => ({ do: "snapshot", where: 0, share });
export const look = (more: Partial<Query> = {}): Step => ({ do: "look", queries: [{ ...plain, ...more }] });
export const follow = (more: Partial<Follow> = {}): Step => ({
  do: "follow",
  follow: { name: "f", kind: "events", partition: null, filter: {}, from: { at: "earliest" }, window: 3, ...more },
});

export const producer = write(three, { producer: 0 });
export const misuse = (how: "conflict" | "gap" | "fenced"): Step => ({ do: "misuse", share: 0, how });
