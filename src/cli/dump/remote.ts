/** A service from which is dumped, or into which is restored. Everything may be asked again. */

import { network } from "../../client/error.ts";
import { type Millrace, MillraceError, type StreamInfo } from "../../client/index.ts";
import { retrying } from "../../client/retry.ts";
import type { Shape } from "../../client/shapes.ts";
import { Absence } from "../absence.ts";
import { haste } from "../config.ts";
import { listFault, type Page, piecesOf, streamFault, type Wrong } from "./pages.ts";

/** Some minutes: as long as a service may be away, or an archive behind. */
const patience = { attempts: 60, initialMs: 100, maxMs: 5_000 };
const blocksType = "application/vnd.millrace.dump";

export type Query = Record<string, string | number | boolean | undefined>;

/** An answer that came whole, and cannot be what was asked for: something in between has cut it, or made another of it. */
class WrongPage extends MillraceError {
  constructor(method: string, path: string, why: string) {
    super("network", `the answer to ${method} ${path} is not what was asked for: ${why}`, 0, true, true);
  }
}

/** Which stream of its name it is: its namespace's time, its log, its restore. */
export const sinceOf = (origin: string | undefined): string | undefined => origin?.match(/^(\d+)-/)?.[1];

export class Remote {
  readonly #patience = { ...patience, onRetry: new Absence().retried };
  /** Something has been answered: the service is where it was said to be. */
  #met = false;
  /** When the namespace was created, as soon as it is known. */
  #since: string | undefined;

  /** Which stream of its name the one that was asked for last is. */
  origin: string | undefined;

  constructor(readonly millrace: Millrace) {}

  /** Where it is asked. */
  get url(): string {
    return this.millrace.http.base.replace(/\/v1\/[^/]*$/, "");
  }

  /** The namespace must be that of which an earlier part of a dump was. */
  expect(origin: string | undefined): void {
    this.#since = sinceOf(origin);
  }

  /** A page, whose blocks are what was asked for. `wrong` says what is not so, if anything. */
  get(path: string, query: Query, wrong: Wrong): Promise<Page> {
    return this.#patiently(async () => {
      const response = await this.millrace.http.once("GET", path, { query });
      const next = response.headers.get("millrace-next");
      // What something in between answers has no blocks.
      if (response.headers.get("content-type") !== blocksType) throw network("something else did");
      const body: ArrayBuffer = await response.arrayBuffer().catch((error) => Promise.reject(network(error)));
      // An older service says nothing of it, nor does one of a state, which counts its rows.
      const said = response.headers.get("millrace-bytes");
      if (said !== null && said !== String(body.byteLength))
        throw new WrongPage("GET", path, `it has ${body.byteLength} bytes of ${said}`);
      const pieces = piecesOf(new Uint8Array(body));
      if (!pieces.ok) throw new WrongPage("GET", path, pieces.refusal.detail);
      const page = {
        pieces: pieces.value,
        next: next === null ? undefined : decodeURIComponent(next),
        origin: response.headers.get("millrace-origin") ?? undefined,
      };
      const why = wrong(page);
      if (why !== undefined) throw new WrongPage("GET", path, why);
      return page;
    });
  }

  /** The blocks of a stream and of its groups. Throws where the namespace is not that of the streams before. */
  async stream(name: string): Promise<Page> {
    const page = await this.get(`${pathOf(name)}/dump`, {}, streamFault(name));
    const since = sinceOf(page.origin);
    if (since !== (this.#since ?? since))
      throw new Error("the namespace was deleted and made anew, or is another service's; begin the dump anew");
    this.#since = since;
    this.origin = page.origin;
    return page;
  }

  /** JSON of a shape. `wrong` says what is not as it was asked for, if anything. */
  json<T>(
    method: "GET" | "POST" | "PUT",
    path: string,
    shape: Shape,
    query: Query = {},
    wrong: (answer: T) => string | undefined = () => undefined,
  ): Promise<T> {
    return this.#patiently(async () => {
      const answer = await this.millrace.http.jsonOnce<T>(method, path, shape, { query });
      const why = wrong(answer);
      if (why !== undefined) throw new WrongPage(method, path, why);
      return answer;
    });
  }

  /** The names of all streams, in their order. */
  async *streams(): AsyncGenerator<string, void, undefined> {
    for (let after: string | undefined; ; ) {
      const page = await this.json<{ streams: StreamInfo[]; after?: string }>(
        "GET",
        "/streams",
        { streams: [{ stream: "" }] },
        { after },
        (page) => listFault(page, after),
      );
      for (const { stream } of page.streams) yield stream;
      if (!page.after) return;
      after = page.after;
    }
  }

  post<T>(path: string, shape: Shape, query: Query, body: Uint8Array): Promise<T> {
    const headers = { "content-type": blocksType };
    return this.#patiently(() => this.millrace.http.jsonOnce<T>("POST", path, shape, { query, body, headers }));
  }

  /** A service that was never there is not waited for: its address may be wrong. */
  async #patiently<T>(attempt: () => Promise<T>): Promise<T> {
    let failures = 0;
    let wrong = 0;
    const may = (error: MillraceError) => {
      const { code, retryable } = error;
      if (code !== "network") this.#met = true;
      // It will not be another the tenth time.
      if (error instanceof WrongPage) return ++wrong < haste.attempts;
      return retryable && (this.#met || ++failures < haste.attempts);
    };
    const answer = await retrying(attempt, this.#patience, undefined, may);
    this.#met = true;
    return answer;
  }
}

export const pathOf = (stream: string): string => `/streams/${encodeURIComponent(stream)}`;
export const groupPath = (stream: string, group: string): string =>
  `${pathOf(stream)}/groups/${encodeURIComponent(group)}`;
export const partitionPath = (stream: string, partition: number): string => `${pathOf(stream)}/partitions/${partition}`;
