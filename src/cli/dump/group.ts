/** A group and its places. It may be deleted, and made anew, while it is dumped: then it is begun again. */
import type { GroupDump, LaneDump, StreamDump } from "../../../schemas/dump.ts";
import { jsonBlock } from "../../archive/dump.ts";
import { MillraceError } from "../../client/index.ts";
import { counted } from "../output.ts";
import { asOf, jsonIn, type Page, type Piece, placeFault } from "./pages.ts";
import { groupPath, type Remote } from "./remote.ts";

/** How often a group is begun; one that is made anew again and again would never be dumped. */
const attemptsMax = 5;
/** Bytes that are held until all of a group is there. One that has more goes as it comes, and cannot be begun again. */
const heldBytesMax = 33_554_432;

/** The blocks of a group, all of one group of its name; none where it was deleted. */
export async function* groupBlocks(
  remote: Remote,
  stream: StreamDump,
  origin: string | undefined,
  first: Piece,
): AsyncGenerator<Uint8Array> {
  let group: GroupDump | undefined = jsonIn<GroupDump>(first.block);
  for (let attempt = 1; group !== undefined; attempt++) {
    const held = new Held();
    try {
      for await (const bytes of blocksOfOne(remote, stream, origin, group)) yield* held.add(bytes);
      yield* held.all();
      return;
    } catch (error) {
      if (!isAnother(error) || !held.holds) throw error;
      const told = `the group '${group.group}' was deleted and made anew`;
      if (attempt === attemptsMax)
        throw new Error(`${told} ${counted(attempt, "time")} while it was dumped; begin the dump again when it stays`);
      group = await groupNow(remote, stream, origin, group.group);
      if (group !== undefined) console.error(`${stream.stream}: ${told}; its dump begins again`);
    }
  }
}

/** The name is another group's by now, or nobody's. */
const isAnother = (error: unknown): boolean =>
  error instanceof MillraceError && (error.code === "conflict" || error.code === "group-not-found");

/** Blocks that are kept back, as long as they are not too many. */
class Held {
  #parts: Uint8Array[] | undefined = [];
  #bytes = 0;

  get holds(): boolean {
    return this.#parts !== undefined;
  }

  /** Gives what is not kept back any more. */
  add(bytes: Uint8Array): readonly Uint8Array[] {
    if (this.#parts === undefined) return [bytes];
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    return this.#bytes > heldBytesMax ? this.all() : [];
  }

  all(): readonly Uint8Array[] {
    const parts = this.#parts ?? [];
    this.#parts = undefined;
    return parts;
  }
}

/** The group that has a name by now, as of the stream that is dumped: that may have grown since. */
async function groupNow(
  remote: Remote,
  { stream, opened, map, logId }: StreamDump,
  origin: string | undefined,
  name: string,
): Promise<GroupDump | undefined> {
  const { pieces, origin: now } = await remote.stream(stream);
  if (now !== origin || jsonIn<StreamDump>(pieces[0].block).logId !== logId)
    throw new Error(`the stream '${stream}' was deleted and made anew; begin the dump anew`);
  const groups = pieces.slice(1).map(({ block }) => jsonIn<GroupDump>(block));
  const group = groups.find((one) => one.group === name);
  if (group === undefined) return undefined;
  const partitions = Math.min(group.partitions, map.length);
  return { ...group, partitions, opened: group.opened.filter((one) => opened.includes(one)) };
}

async function* blocksOfOne(
  remote: Remote,
  stream: StreamDump,
  origin: string | undefined,
  group: GroupDump,
): AsyncGenerator<Uint8Array> {
  yield jsonBlock("group", group);
  for (const partition of group.opened) {
    const place = new Place();
    for (let after: string | undefined, more = true; more; more = after !== undefined) {
      const query = { partition, origin, id: group.id, after };
      const path = `${groupPath(stream.stream, group.group)}/dump`;
      const page: Page = await remote.get(path, query, placeFault(group.group, partition, after));
      for (const piece of page.pieces) yield* place.add(asOf(stream, piece), piece);
      after = page.next;
    }
    yield jsonBlock("settled", { group: group.group, partition, lanes: place.lanes, letters: place.letters });
  }
}

/** A place that is read in several steps. */
class Place {
  lanes = 0;
  letters = 0;
  /** Lanes by their keys. */
  readonly #keys = new Map<string, number>();

  /** A lane of a key that ended since it was read, and began again, is left out: where the first one stood, it begins. */
  add(bytes: Uint8Array, { block }: Piece): readonly Uint8Array[] {
    if (block.name === "letter") this.letters++;
    if (block.name !== "lanes") return [bytes];
    const all = jsonIn<LaneDump[]>(block);
    const lanes = all.filter(({ id, kind, key }) => {
      if (kind !== "key" || key === null) return true;
      const known = this.#keys.get(key);
      if (known === undefined) this.#keys.set(key, id);
      return known === undefined || known === id;
    });
    this.lanes += lanes.length;
    if (lanes.length === all.length) return [bytes];
    return lanes.length === 0 ? [] : [jsonBlock("lanes", lanes)];
  }
}
