import type { Call, Http } from "./http.ts";
import { factsShape } from "./shapes.ts";

/** What a partition says of itself. */
export interface PartitionFacts {
  readonly partition: number;
  /** Oldest readable offset, and the next one to be written. */
  readonly head: number;
  readonly tail: number;
  /** From here on records lie in the database; those before it, in the archive. */
  readonly hotFrom: number;
  readonly records: number;
  readonly bytes: number;
  readonly chunks: number;
  readonly segments: number;
  readonly hotBytes: number;
  readonly archived: { readonly segments: number; readonly records: number; readonly bytes: number };
  readonly firstTimestamp?: string;
  readonly lastTimestamp?: string;
  readonly sealed: boolean;
  readonly fence?: string;
  readonly rowsWritten: number;
}

/** Offsets `[from, to)` of a chunk, or of an archived segment, and what is wrong with it. */
export interface Damage {
  readonly chunk?: number;
  readonly object?: string;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** What a verification has found so far. */
export interface Verification {
  readonly chunks: number;
  readonly records: number;
  readonly bytes: number;
  readonly objects: number;
  readonly damaged: readonly Damage[];
}

export interface LostRange {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
  /** It was lost when the request came: by a repair before, or by this one, where its answer was lost and it was sent again. */
  readonly before?: true;
}

export interface RepairOptions {
  /**
   * `isolate`: chunks that cannot be read become holes. `truncate`: everything from `from` on does. `rebuild`: an empty
   * partition becomes what its objects in the archive say.
   */
  mode: "isolate" | "truncate" | "rebuild";
  from?: number;
  to?: number;
}

/** One partition of a stream. */
export class Partition {
  readonly path: string;

  constructor(
    readonly http: Http,
    stream: string,
    readonly number: number,
  ) {
    this.path = `${stream}/partitions/${number}`;
  }

  /**
   * Where it begins and ends, and what it holds.
   *
   * @example
   * const { head, tail } = await millrace.stream("orders").partition(0).facts();
   * console.log(tail - head);
   */
  facts(): Promise<PartitionFacts> {
    return this.http.json("GET", this.path, factsShape);
  }

  /**
   * Drops what is before an offset, or a time, for good.
   *
   * @example
   * await millrace.stream("orders").partition(0).trim({ beforeTime: "2026-01-01T00:00:00Z" });
   */
  trim(before: { beforeOffset: number } | { beforeTime: string }): Promise<PartitionFacts> {
    return this.http.json("POST", `${this.path}/trim`, factsShape, { body: before, safe: true });
  }

  /**
   * Reads everything that it holds, in the database and in the archive, and checks it. A long one is told of as it goes.
   *
   * @example
   * const { damaged } = await millrace.stream("orders").partition(0).verify();
   * for (const { from, to, reason } of damaged) console.log(from, to, reason);
   */
  async verify(progress?: (so: Verification) => void): Promise<Verification> {
    const sums = { chunks: 0, records: 0, bytes: 0, objects: 0 };
    const damaged: Damage[] = [];
    let from: number | undefined = 0;
    do {
      const call: Call = { query: { from }, safe: true };
      const shape = { ...sums, damaged: [{}] };
      const part: Verification & { next?: number } = await this.http.json("POST", `${this.path}/verify`, shape, call);
      for (const name in sums) sums[name as keyof typeof sums] += part[name as keyof typeof sums];
      damaged.push(...part.damaged);
      from = part.next;
      progress?.({ ...sums, damaged });
    } while (from);
    return { ...sums, damaged };
  }

  /**
   * Gives up what is damaged, and answers what is lost of the range, by this and by repairs before. Offsets are not used again.
   *
   * @example
   * const lost = await millrace.stream("orders").partition(0).repair({ mode: "isolate", from: 0 });
   * for (const { from, to } of lost) console.log(`lost: ${from} up to ${to}`);
   */
  async repair(options: RepairOptions): Promise<LostRange[]> {
    // Sent again, it must not reach what was appended since.
    const to = options.mode === "truncate" ? (options.to ?? (await this.facts()).tail) : options.to;
    const { lost } = await this.http.json<{ lost: LostRange[] }>(
      "POST",
      `${this.path}/repair`,
      { lost: [{}] },
      {
        body: { ...options, to },
        safe: true,
      },
    );
    return lost;
  }
}
