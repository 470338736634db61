import type { Call, Http } from "./http.ts";
import { Parts, type SnapshotBody } from "./parts.ts";
import { placed } from "./shapes.ts";
import type { SnapshotInfo, SnapshotLease } from "./types.ts";

/** Whose snapshots. */
export interface OfPartition {
  /** May be left out where the stream has one. */
  partition?: number;
  signal?: AbortSignal;
}

export interface PutSnapshotOptions extends OfPartition {
  /** Default `application/octet-stream`. */
  contentType?: string;
  /** Who makes it. */
  name?: string;
  /** The lease that it is made under: refused when another has taken it since. */
  lease?: string;
}

/** A snapshot that is being fetched. */
export interface FetchedSnapshot extends SnapshotInfo {
  readonly body: ReadableStream<Uint8Array>;
}

/** Parts on their way at a time: as many are in memory. */
const partsAtOnce = 4;

/** A stream's snapshots: states of its consumers, each at an offset of a partition. */
export class Snapshots {
  readonly path: string;

  constructor(
    readonly http: Http,
    stream: string,
  ) {
    this.path = `${stream}/snapshots`;
  }

  /**
   * Stores a state in which everything below the offset is applied. What is large goes in parts, of which four are in
   * memory at a time; each is tried again by itself.
   *
   * @example
   * const state = new Blob([JSON.stringify({ total: 42 })]);
   * await millrace.stream("orders").snapshots.put(1_000, state, { contentType: "application/json" });
   */
  async put(offset: number, body: SnapshotBody, options: PutSnapshotOptions = {}): Promise<SnapshotInfo> {
    const { partition, signal, contentType = "application/octet-stream", ...terms } = options;
    const path = `${this.path}/${offset}`;
    const parts = new Parts(body);
    try {
      const first = await parts.take();
      if (parts.ended) {
        const headers = { "content-type": contentType };
        return await this.http.json("PUT", path, placed, {
          body: first,
          query: { partition, ...terms },
          headers,
          signal,
        });
      }
      const query = { partition };
      const begin = { body: { contentType, ...terms }, query, safe: true, signal };
      const { upload, partBytes } = await this.http.json<Upload>(
        "POST",
        `${path}/uploads`,
        { upload: "", partBytes: 0 },
        begin,
      );
      const target = `${path}/uploads/${upload}`;
      try {
        const etags = await this.#send(target, parts, first, partBytes, { query, signal });
        const named = etags.map((etag, index) => ({ number: index + 1, etag }));
        return await this.http.json("POST", `${target}/complete`, placed, {
          body: { parts: named },
          query,
          safe: true,
          signal,
        });
      } catch (error) {
        // Whatever that comes to: an upload that nobody goes on with is given up in time.
        await this.http.once("DELETE", target, { query }).catch(() => {});
        throw error;
      }
    } finally {
      parts.cancel();
    }
  }

  async #send(
    target: string,
    parts: Parts,
    first: Blob,
    partBytes: number,
    call: { query: { partition: number | undefined }; signal?: AbortSignal },
  ): Promise<string[]> {
    const etags: string[] = [];
    parts.again(first, partBytes);
    let taking: Promise<unknown> = Promise.resolve();
    const failed: unknown[] = [];
    const work = async () => {
      while (failed.length === 0 && !parts.ended) {
        // One takes at a time: the parts have an order.
        const turn = taking.then(async () =>
          failed.length > 0 || parts.ended ? undefined : ([parts.taken, await parts.take()] as const),
        );
        taking = turn.catch(() => {});
        const taken = await turn;
        if (taken === undefined) return;
        const [index, body] = taken;
        const path = `${target}/${index + 1}`;
        const { etag } = await this.http.json<{ etag: string }>("PUT", path, { etag: "" }, { ...call, body });
        etags[index] = etag;
      }
    };
    const guarded = () => work().catch((error) => void failed.push(error));
    await Promise.all(Array.from({ length: partsAtOnce }, guarded));
    for (const error of failed) throw error;
    return etags;
  }

  /**
   * One by its offset, or the newest that can be begun with, below `before` where that is given. Throws
   * `snapshot-not-found` where there is none.
   *
   * @example
   * const { offset, body } = await millrace.stream("orders").snapshots.get("latest");
   * console.log(offset, await new Response(body).json());
   */
  async get(
    offset: number | "latest",
    { signal, ...query }: OfPartition & { before?: number } = {},
  ): Promise<FetchedSnapshot> {
    const call: Call = { query, signal, header: "millrace-snapshot" };
    const info = await this.http.json<SnapshotInfo>("GET", `${this.path}/${offset}`, placed, call);
    return { ...info, body: call.response?.body ?? new Blob([]).stream() };
  }

  /**
   * Those that there are, newest first in each partition.
   *
   * @example
   * for (const { partition, offset, bytes } of await millrace.stream("orders").snapshots.list()) {
   *   console.log(partition, offset, bytes);
   * }
   */
  async list({ signal, ...query }: OfPartition = {}): Promise<SnapshotInfo[]> {
    const call = { query, signal };
    return (await this.http.json<{ snapshots: SnapshotInfo[] }>("GET", this.path, { snapshots: [placed] }, call))
      .snapshots;
  }

  /**
   * Deletes one. That it is not there is no error.
   *
   * @example
   * await millrace.stream("orders").snapshots.delete(1_000);
   */
  delete(offset: number, { signal, ...query }: OfPartition = {}): Promise<void> {
    return this.http.gone(`${this.path}/${offset}`, "snapshot-not-found", { query, signal });
  }

  /**
   * Takes the lease of the next snapshot, or renews it, so that no two make the same. Throws `leased` where another has it:
   * `facts.holder` and `facts.expiresAt` say who, and until when. No seconds give it up.
   *
   * @example
   * const { snapshots } = millrace.stream("orders");
   * const { lease, offset } = await snapshots.lease({ holder: "worker-1", seconds: 60 });
   * await snapshots.put(offset, "the state at that offset", { lease });
   */
  lease({
    signal,
    ...body
  }: OfPartition & { holder: string; seconds: number; offset?: number }): Promise<SnapshotLease> {
    return this.http.json("POST", `${this.path}/lease`, { ...placed, lease: "" }, { body, safe: true, signal });
  }
}

interface Upload {
  readonly upload: string;
  readonly partBytes: number;
}
