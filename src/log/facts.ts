/** What a partition says of itself. */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { shutBereft } from "./bereft.ts";
import type { Segments } from "./segments.ts";
import type { Store } from "./store.ts";

export interface Facts {
  head: number;
  tail: number;
  /** From here on everything lies in the database; what is before it, in the archive. */
  hotFrom: number;
  records: number;
  bytes: number;
  chunks: number;
  segments: number;
  hotBytes: number;
  archived: { segments: number; records: number; bytes: number };
  firstTimestamp?: number;
  lastTimestamp?: number;
  sealed: boolean;
  fence?: string;
  rowsWritten: number;
}

/** What survives when no chunk is left to tell it. */
export interface Marks {
  head: number;
  tail: number;
  last: number;
  sealed: boolean;
  fence?: string;
  /** It is empty, and takes nothing for `closedMs` after this, in ms since 1970: the stream is being deleted. */
  closedAt?: number;
  /** Records were taken out from between others. */
  thinned?: boolean;
  /** The log is being filled from a dump. */
  restoring?: boolean;
}

export function factsOf(segments: Segments, marks: Marks, rowsWritten: number): Facts {
  const { open, store, newest, hotBytes } = segments;
  const sealed = store.sums();
  const first = store.from(0).next().value?.first ?? open.first;
  const last = open.last ?? newest?.last;
  const { head, tail, fence } = marks;
  return {
    head,
    tail,
    hotFrom: Math.max(head, segments.hotFrom),
    // A segment of which a part was trimmed still counts its records.
    records: Math.min(sealed.records + open.records, tail - head),
    bytes: sealed.bytes + open.bytes,
    chunks: sealed.chunks + open.chunks,
    segments: sealed.segments,
    hotBytes,
    archived: store.archived(),
    ...(first === undefined ? {} : { firstTimestamp: first }),
    ...(last === undefined ? {} : { lastTimestamp: last }),
    sealed: marks.sealed,
    ...(fence === undefined ? {} : { fence }),
    rowsWritten,
  };
}

/** A stream that was not deleted by then is open again, whatever became of whoever closed it. */
export const closedMs = 60_000;

const closed: Refusal = {
  code: "unavailable",
  detail: "the stream is empty and is being deleted; create it again in a moment",
};
const full: Refusal = {
  code: "log-full",
  detail: "the partition's database is full; set a retention, archive it, or add partitions",
};

/** Why nothing is appended at all, if so. */
export function shutOf(
  { closedAt, tail }: Marks,
  isFull: boolean,
  meta: Pick<Store, "meta">,
  now: number,
): Refusal | undefined {
  if (closedAt !== undefined && now < closedAt + closedMs) return closed;
  if (tail === 0) return shutBereft(meta);
  return isFull ? full : undefined;
}

/** Whether a token changes the fence; with `expected`, only where that one is set. */
export function fenced(
  { fence, sealed }: Marks,
  token: string | undefined,
  expected: string | null | undefined,
): Result<boolean> {
  if (token === fence) return ok(false);
  // Nobody writes here any more, and those who continue it would not learn of the token.
  if (sealed)
    return refuse("sealed", "the partition was split; fence those that continue it, as …/partitions lists them");
  if (expected === undefined || (expected ?? undefined) === fence) return ok(true);
  return refuse("fenced", "another token is set; read the partition's facts and decide anew", { fence: fence ?? null });
}
