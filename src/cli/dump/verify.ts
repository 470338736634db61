/** `verify`: a dump's file, looked through without a service. */
import { saidHash } from "../../archive/dump.ts";
import { Outline } from "../../archive/dump-outline.ts";
import type { OutlineState } from "../../archive/dump-told.ts";
import { counted, print } from "../output.ts";
import { Broken, blocksIn, type Found, Sha256, sizeOf } from "./file.ts";
import { Progress } from "./progress.ts";

/** Something that is not as it was written. */
export interface Damage {
  /** First byte of the block; of a compressed file, of what it holds. */
  readonly at: number;
  readonly block: number;
  what: string;
  readonly where: string;
}

export interface Findings {
  readonly damages: readonly Damage[];
  readonly outline: Outline;
  /** Of the whole, in hexadecimal digits. */
  readonly sha256: string;
}

/** `visit` is told of each block that is as it should be, with the hash up to its end. */
export async function findings(
  path: string,
  visit: (found: Found, outline: Outline, hash: Sha256) => void = () => {},
): Promise<Findings> {
  const outline = new Outline();
  const hash = new Sha256();
  const damages: Damage[] = [];
  /** The block before this one could not be read, either: all that follow each other are one finding. */
  let unread: { readonly said: string; readonly damage: Damage } | undefined;
  const progress = new Progress("verify", sizeOf(path));
  const damaged = (at: number, what: string): Damage => {
    const damage = { at, block: index, what, where: outline.where };
    damages.push(damage);
    return damage;
  };
  let index = 0;
  let chained = 0;
  hash.update(headerOf());
  try {
    for await (const found of blocksIn(path, (bytes) => progress.add(bytes))) {
      const { at, bytes, block } = found;
      if (outline.state.ended) {
        damaged(at, behindEnd);
        break;
      }
      if (!block.ok) {
        if (unread === undefined) unread = { said: block.refusal.detail, damage: damaged(at, block.refusal.detail) };
        else unread.damage.what = `${unread.said}; nothing can be read up to byte ${at + bytes.length}`;
        outline.lost();
      } else {
        unread = undefined;
        const { name, payload } = block.value;
        const chain = name === "hash" || name === "end";
        // Where a block is known to be damaged, the hash over it says nothing new.
        if (chain && damages.length === 0 && !equal(saidHash(payload), hash.digest())) {
          damaged(at, `the bytes ${chained} to ${at} are not those that were written, or not in their order`);
        }
        if (chain) chained = at + bytes.length;
        const added = name === "hash" ? undefined : outline.add(block.value);
        if (added !== undefined && !added.ok) {
          damaged(at, added.refusal.detail);
          outline.lost();
        }
      }
      hash.update(bytes);
      if (damages.length === 0) visit(found, outline, hash);
      index++;
    }
    if (!outline.state.ended) damaged(sizeOf(path), "the file ends before the dump does");
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    if (unread !== undefined) unread.damage.what = `${unread.said}; what follows cannot be read`;
    else damaged(error.at, outline.state.ended ? behindEnd : `${error.message}; what follows cannot be read`);
  } finally {
    progress.end();
  }
  return { damages, outline, sha256: Buffer.from(hash.digest()).toString("hex") };
}

const behindEnd = "there is more behind the end";
const headerOf = () => Uint8Array.of(0x4d, 0x52, 0x44, 0x50, 1, 0, 0, 0);
const equal = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

export const told = ({ at, block, what, where }: Damage): string => `byte ${at} (block ${block}; ${where}): ${what}`;

export async function verify(path: string, json?: boolean): Promise<void> {
  const { damages, outline, sha256 } = await findings(path);
  const { totals } = outline.state;
  if (json) print(JSON.stringify({ intact: damages.length === 0, sha256, ...totals, damages }));
  else {
    for (const damage of damages) print(told(damage));
    print(damages.length === 0 ? `intact: ${summary(outline)}; SHA-256 ${sha256}` : `damaged: ${damages.length} found`);
  }
  if (damages.length > 0) process.exitCode = 1;
}

export function summary({ state: { totals } }: { readonly state: Pick<OutlineState, "totals"> }): string {
  const { streams, groups, partitions, records } = totals;
  const parts = [counted(streams, "stream"), counted(partitions, "partition"), counted(groups, "group")];
  return [...parts, counted(records, "record")].join(", ");
}
