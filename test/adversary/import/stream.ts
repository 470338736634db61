/** The stream that an import fills: all that is in it, however often the service dies. */
import { Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { type Read, readPage } from "../log/read.ts";

export class Filled {
  constructor(
    readonly round: Round,
    readonly name: string,
    public partitions: number,
    readonly limits: Readonly<Record<string, number | string>> = {},
  ) {}

  /** Always the same one partition: records stand in one line. */
  onePartition = true;

  get path(): string {
    return `/streams/${this.name}`;
  }

  async make(): Promise<void> {
    const { partitions, limits } = this;
    this.onePartition = partitions === 1;
    await this.round.surely("PUT", this.path, { body: { partitions, ...limits } });
  }

  async grow(): Promise<void> {
    this.onePartition = false;
    this.partitions++;
    await this.round.surely("PUT", this.path, { body: { partitions: this.partitions } });
  }

  async remove(): Promise<void> {
    await this.round.surely("DELETE", this.path);
  }

  async read(): Promise<Read[]> {
    for (;;) {
      const { deaths } = this.round;
      try {
        return await this.#all();
      } catch (error) {
        if (!(error instanceof Lost) || this.round.deaths === deaths) throw error;
      }
    }
  }

  async #all(): Promise<Read[]> {
    const found: Read[] = [];
    for (let from = "earliest"; ; ) {
      const answer = await this.round.ask("GET", `${this.path}/records?from=${encodeURIComponent(from)}&limit=1000`);
      const refused = () => `a read of ${this.name} was answered ${answer.status}: ${answer.body.toString()}`;
      this.round.checks.that("accepted", answer.status === 200, refused);
      found.push(...readPage(answer.body.toString()));
      if (answer.json.upToDate) return found;
      from = String(answer.json.next);
    }
  }
}
