/** The file of a dump: whole, it is verified and restored; of one whose bytes changed, that is said, and nothing is restored. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { millrace, type Ran } from "../frame/cli.ts";
import type { FilePlan } from "./plan.ts";
import type { Stored } from "./stored.ts";
import { flipped } from "./strike.ts";

export async function tryFile(
  plan: FilePlan,
  stream: Stored,
  readRestored: (copy: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-damage-"));
  try {
    await new DumpFile(plan, stream, folder).run(readRestored);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class DumpFile {
  constructor(
    readonly plan: FilePlan,
    readonly stream: Stored,
    readonly folder: string,
  ) {}

  async run(readRestored: (copy: string) => Promise<void>): Promise<void> {
    const { name, told } = this.stream;
    const path = join(this.folder, "whole.mrdp");
    const dump = await this.#cli("dump", `${this.stream.round.name}/${name}`, "-o", path);
    // What readers cannot have, a dump has not either.
    this.#that("dump-named", (dump.code === 0) === (told.length === 0), () => `dump ends with ${said(dump)}`);
    if (dump.code !== 0) return;
    const verify = await this.#cli("verify", path);
    this.#that("dump-named", verify.code === 0, () => `verify of a whole file ends with ${said(verify)}`);
    const whole = readFileSync(path);
    for (const blow of this.plan.blows) await this.#damage(whole, blow);
    if (!this.plan.restore) return;
    const copy = `${name}-copy`;
    const restore = await this.#cli("restore", path, "--new-id", "--stream", `${name}=${copy}`, "--verify");
    this.#that("restored", restore.code === 0, () => `restore of a whole file ends with ${said(restore)}`);
    await readRestored(copy);
  }

  async #damage(whole: Buffer, { how, at: share, bit }: FilePlan["blows"][number]): Promise<void> {
    const at = Math.floor(share * whole.length);
    const bodies = {
      flipped: flipped(whole, at, bit),
      cut: whole.subarray(0, at),
      grown: Buffer.concat([whole, whole.subarray(0, at + 1)]),
    };
    const path = join(this.folder, "damaged.mrdp");
    writeFileSync(path, bodies[how]);
    const words = `a file of ${whole.length} bytes that is ${how} at ${at} (bit ${bit})`;
    const verify = await this.#cli("verify", path);
    this.#that("file-named", verify.code === 1, () => `verify of ${words} ends with ${said(verify)}`);
    if (bit !== 0) return;
    const copy = `${this.stream.name}-no`;
    const restore = await this.#cli("restore", path, "--new-id", "--stream", `${this.stream.name}=${copy}`);
    this.#that("file-refused", restore.code === 1, () => `restore of ${words} ends with ${said(restore)}`);
    const { status } = await this.stream.round.ask("GET", `/streams/${copy}`);
    this.#that("file-refused", status === 404, () => `after the restore of ${words} there is a stream (${status})`);
  }

  #cli(...args: string[]): Promise<Ran> {
    this.stream.round.operations++;
    this.stream.note(() => `millrace ${args.join(" ")}`);
    return millrace(this.stream.round.service, this.stream.round.name, args);
  }

  #that(invariant: string, kept: boolean, words: () => string): void {
    this.stream.round.checks.that(invariant, kept, () => `${this.stream.name}: ${words()}`, [this.stream.name]);
  }
}

const said = ({ code, out, err }: Ran) => `${code}: ${out.slice(-500)} ${err.slice(-500)}`;
