/**
 * What is attacked: a namespace with two streams, groups with a lease, a parked lane and a dead letter, tickets of every
 * kind. What an attack was allowed to change is made anew under another name.
 */
import type { Answer, Json } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { sleep } from "../frame/time.ts";
import { type Right, rights } from "./plan.ts";

/** In the data of every record: who sees it has read one. */
export const marker = "hostile-secret-data";

/** So long the shortest ticket lasts. */
const shortSeconds = 1;

const triesMax = 100;

const json = { "content-type": "application/json" };

export class Ground {
  #made = 0;
  /** Under lease, until the ground is made anew. */
  receipt = "";
  #tickets = new Map<string, string>();
  /** When the shortest ticket is over for certain, by the clock of this process. */
  expiredAt = 0;

  constructor(readonly round: Round) {}

  get namespace(): string {
    return `${this.round.name}-play`;
  }

  get stream(): string {
    return `play-${this.#made}`;
  }

  get other(): string {
    return `other-${this.#made}`;
  }

  /** Another tenant. */
  get foreign(): string {
    return `${this.round.name}-foreign`;
  }

  /** What stands in a path. */
  get names(): Readonly<Record<string, string>> {
    const { namespace, stream } = this;
    return {
      ns: namespace,
      stream,
      group: "busy",
      partition: "0",
      erasure: "e",
      snapshot: "0",
      upload: "u",
      part: "1",
    };
  }

  ticket(name: Right | "short" | "other-stream" | "other-namespace" | "read-short"): string {
    return this.#tickets.get(name) ?? "";
  }

  /** Everything, under names that nobody has used; what was there goes. */
  async make(): Promise<void> {
    const before = this.#made === 0 ? [] : [this.stream, this.other];
    this.#made++;
    await this.must("PUT", `/v1/${this.namespace}`);
    await this.must("PUT", `/v1/${this.foreign}`);
    const stream = `/v1/${this.namespace}/streams/${this.stream}`;
    const other = `/v1/${this.namespace}/streams/${this.other}`;
    const foreign = `/v1/${this.foreign}/streams/${this.stream}`;
    await Promise.all([this.#stream(stream, 2), this.#stream(other, 1), this.#stream(foreign, 1)]);
    await Promise.all([
      this.#groups(stream),
      ...rights.map((right) => this.#sell(right, stream, [right], 3600)),
      this.#sell("other-stream", other, [...rights], 3600),
      this.#sell("other-namespace", foreign, [...rights], 3600),
      this.#sell("short", stream, [...rights], shortSeconds),
      ...before.flatMap((name) =>
        [this.namespace, this.foreign].map((from) => this.round.call("DELETE", `/v1/${from}/streams/${name}`)),
      ),
    ]);
    // The end is a whole second of the service's, which is rounded up.
    this.expiredAt = performance.now() + (shortSeconds + 1.2) * 1000;
  }

  async #stream(path: string, partitions: number): Promise<void> {
    await this.must("PUT", path, { partitions });
    const records = Array.from({ length: 8 }, (_, i) => ({ key: `k${i % 4}`, data: `${marker} ${i}` }));
    await this.must("POST", `${path}/records`, { records });
    await this.must("PUT", `${path}/groups/quiet`, { start: "earliest" });
  }

  /** One record is leased for as long as it takes, one is a dead letter, and its lane is parked. */
  async #groups(stream: string): Promise<void> {
    const terms = { start: "earliest", ackTimeoutMs: 43_200_000, maxDeliveries: 1, onFailure: "park" };
    await this.must("PUT", `${stream}/groups/busy`, terms);
    const { deliveries } = await this.must("POST", `${stream}/groups/busy/receive`, { max: 2, waitSeconds: 10 });
    this.receipt = deliveries[0]?.receipt ?? "";
    const lost = deliveries[1]?.receipt;
    if (lost !== undefined) await this.must("POST", `${stream}/groups/busy/nack`, { receipts: [lost] });
  }

  async #sell(name: string, stream: string, rights: readonly Right[], expiresInSeconds: number): Promise<void> {
    const { ticket } = await this.must("POST", `${stream}/tickets`, { rights, expiresInSeconds });
    this.#tickets.set(name, ticket);
  }

  /** What the documents allow; a service that has just been killed may take its time. */
  async must(method: string, path: string, body?: Json): Promise<Json> {
    return (await this.#good(method, path, body)).json;
  }

  async text(path: string): Promise<string> {
    return (await this.#good("GET", path)).body.toString();
  }

  async #good(method: string, path: string, body?: Json): Promise<Answer> {
    for (let tries = 0; ; tries++) {
      const call = body === undefined ? {} : { headers: json, body: JSON.stringify(body) };
      const answer = await this.round.call(method, path, call);
      if (answer.status < 300) return answer;
      const refused = () => `${method} ${path} was answered ${answer.status}: ${answer.body.toString()}`;
      // Behind a crowd that has just gone, what it did not take may count for a moment.
      const mayPass = answer.status === 503 || (answer.status === 429 && answer.json?.retryable === true);
      this.round.checks.that("accepted", mayPass && tries < triesMax, refused);
      await sleep(100, this.round.stopped);
    }
  }

  /** Nothing is left, by whatever name. */
  async clear(keep: readonly string[]): Promise<void> {
    const { json } = await this.round.call("GET", "/v1?limit=1000");
    for (const { namespace } of (json?.namespaces ?? []) as Json[]) {
      if (keep.includes(namespace)) continue;
      await this.round.call("DELETE", `/v1/${namespace}?force=true`);
    }
  }
}
