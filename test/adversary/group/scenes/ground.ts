/** One stream and one group, and what a scene asks of them. Nothing is modelled here. */
import type { Answer, Json } from "../../frame/http.ts";
import type { Round } from "../../frame/round.ts";

export interface Record {
  readonly key?: string;
  readonly data?: Json;
}

export class Ground {
  readonly stream = "/streams/s";
  readonly group = "/streams/s/groups/g";

  constructor(readonly round: Round) {}

  async make(partitions: number, config: Json): Promise<void> {
    await this.round.must("PUT", this.stream, { body: { partitions } });
    await this.configure({ start: "earliest", ...config });
  }

  configure(config: Json): Promise<Json> {
    return this.round.must("PUT", this.group, { body: config });
  }

  /** The verdicts, in order. */
  async append(records: readonly Record[]): Promise<Json[]> {
    const verdicts: Json[] = [];
    for (let from = 0; from < records.length; from += 1000) {
      const body = { records: records.slice(from, from + 1000) };
      verdicts.push(...(await this.round.must("POST", `${this.stream}/records`, { body })).verdicts);
    }
    return verdicts;
  }

  async receive(body: Json, signal?: AbortSignal): Promise<Json[]> {
    const ask = { body, ...(signal && { signal }) };
    const answer: Answer = await this.round.ask("POST", `${this.group}/receive`, ask);
    const refused = () => `a receive was answered ${answer.status}: ${answer.body}`;
    this.round.checks.that("accepted", answer.status === 200, refused);
    return answer.json.deliveries;
  }

  async settle(call: "ack" | "nack", deliveries: readonly Json[], terms: Json = {}): Promise<void> {
    for (let from = 0; from < deliveries.length; from += 1000) {
      const receipts = deliveries.slice(from, from + 1000).map(({ receipt }) => receipt);
      await this.round.must("POST", `${this.group}/${call}`, { body: { receipts, ...terms } });
    }
  }

  status(): Promise<Json> {
    return this.round.must("GET", `${this.group}/status`);
  }
}

export const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);
