/** Opens a spool: takes its folder, and looks through what lies there. */
import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { known } from "../client/error.ts";
import { newEpoch } from "../client/producer.ts";
import { lockFolder } from "./lock.ts";
import { type Kept, type Place, PlaceFile, type Target } from "./place.ts";
import { numbersIn, pathOf, type Segment, scan } from "./segments.ts";

export interface Opened {
  readonly folder: string;
  readonly placeFile: PlaceFile;
  readonly place: Place;
  readonly segments: Segment[];
  /** Records that lie there, and are not known to be stored. */
  readonly records: number;
  /** Leaves the folder to others. */
  readonly release: () => void;
}

/** What a header carries, and the service takes. */
const name = /^[!-~]([ -~]{0,126}[!-~])?$/;

/** Throws `spool-busy`, `spool-damaged`, or `invalid` where its producer's name is none, or where it belongs to another namespace, stream or producer. */
export function openSpool(folder: string, target: Target, id: string | undefined): Opened {
  if (id !== undefined && !(typeof id === "string" && name.test(id)))
    throw known("invalid", "id: must be 1-128 visible ASCII");
  makeFolder(folder);
  const release = lockFolder(folder, (pid) =>
    known("spool-busy", `process ${pid} has the spool ${folder}; give each producer a folder of its own`),
  );
  let placeFile: PlaceFile | undefined;
  try {
    const { file, place, kept } = placeIn(folder, target, id);
    placeFile = file;
    for (const number of numbersIn(folder))
      if (number < place.from.segment) rmSync(pathOf(folder, number), { force: true });
    const found = segmentsIn(folder, place, kept);
    // All of it was stored, and it went: what comes next has a file of its own, which is found again.
    const isGone = found.segments.length === 0 && place.from.byte > 0;
    const next = { ...place, from: { segment: place.from.segment + 1, byte: 0, record: 0 } };
    if (isGone) placeFile.saveNow(next);
    return { folder, placeFile, release, place: isGone ? next : place, ...found };
  } catch (error) {
    placeFile?.close();
    release();
    throw error;
  }
}

function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true });
  // Records are their owner's to read.
  chmodSync(folder, 0o700);
}

function placeIn(folder: string, { namespace, stream, partition }: Target, id: string | undefined) {
  const first = (): Place => {
    if (numbersIn(folder).length > 0) throw damaged(`${folder}/place is damaged or not there`);
    const from = { segment: 0, byte: 0, record: 0 };
    return {
      namespace,
      stream,
      partition,
      id: id ?? newId(),
      epoch: newEpoch(),
      sequence: 0,
      from,
    };
  };
  const opened = PlaceFile.open(folder, first);
  const { place } = opened;
  // A release before kept records under a name that nothing could be sent under.
  const isNamed = name.test(place.id);
  const others = [
    place.namespace !== undefined && place.namespace !== namespace && `namespace '${place.namespace}'`,
    place.stream !== stream && `stream '${place.stream}'`,
    place.sealed !== true && place.partition !== partition && `partition ${place.partition ?? "of each key"}`,
    isNamed && place.id !== (id ?? place.id) && `producer '${place.id}'`,
  ].filter((one) => one !== false);
  if (others.length > 0) {
    opened.file.close();
    throw known("invalid", `the spool ${folder} is for ${others.join(", ")}; give another folder`);
  }
  const { to, at, ...unsent } = { ...place, namespace };
  const claimed = isNamed ? { ...place, namespace } : { ...unsent, id: id ?? newId(), sequence: 0 };
  if (place.namespace === undefined || !isNamed) opened.file.saveNow(claimed);
  return { ...opened, place: claimed };
}

function segmentsIn(folder: string, place: Place, kept: Kept = place.from): Pick<Opened, "segments" | "records"> {
  const { from, to } = place;
  const numbers = numbersIn(folder);
  let records = 0;
  const segments = numbers.map((number, index) => {
    const wanted = from.segment + index;
    if (number !== wanted) throw damaged(`${pathOf(folder, wanted)} is not there`);
    const isFirst = index === 0;
    const tornFrom = index < numbers.length - 1 ? Number.POSITIVE_INFINITY : kept.segment === number ? kept.byte : 0;
    const found = scanned(folder, number, isFirst ? from.byte : 0, tornFrom);
    records += found.records - (isFirst ? from.record : 0);
    return { number, bytes: found.bytes };
  });
  // What a crash has torn nobody was told of. What is gone of the rest somebody took away, or a disk has forgotten.
  const { number, bytes } = segments.at(-1) ?? { number: from.segment, bytes: from.byte };
  if (kept.segment > number) throw damaged(`${pathOf(folder, kept.segment)} is not there`);
  if (kept.segment === number && kept.byte > bytes)
    throw damaged(`${pathOf(folder, number)} ends at byte ${bytes}, and was kept up to byte ${kept.byte}`);
  const isThere = to === undefined || segments.some(({ number, bytes }) => number === to.segment && bytes >= to.byte);
  if (!isThere) throw damaged(`${folder} does not have what place says was being sent`);
  return { segments, records };
}

function scanned(...given: Parameters<typeof scan>) {
  try {
    return scan(...given);
  } catch (error) {
    throw damaged((error as Error).message);
  }
}

const newId = () => `spool-${crypto.randomUUID()}`;

const damaged = (why: string) =>
  known("spool-damaged", `${why}; keep the folder for whoever looks for its records, and give another`);
