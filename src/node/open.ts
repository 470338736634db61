/** Opens a spool: takes its folder, and looks through what lies there. */
import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { known } from "../client/error.ts";
import { newEpoch } from "../client/producer.ts";
import { lockFolder } from "./lock.ts";
import { type Place, PlaceFile, type Target } from "./place.ts";
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
    const { file, place } = placeIn(folder, target, id);
    placeFile = file;
    for (const number of numbersIn(folder))
      if (number < place.from.segment) rmSync(pathOf(folder, number), { force: true });
    return { folder, placeFile, release, ...segmentsIn(folder, place) };
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

function segmentsIn(folder: string, place: Place): Pick<Opened, "place" | "segments" | "records"> {
  const { from, to } = place;
  const numbers = numbersIn(folder);
  let records = 0;
  const segments = numbers.map((number, index) => {
    const isFirst = number === from.segment;
    const found = scanned(folder, number, isFirst ? from.byte : 0, index === numbers.length - 1);
    records += found.records - (isFirst ? from.record : 0);
    return { number, bytes: found.bytes };
  });
  // Somebody took files away: what is on its way cannot be given again as it was.
  const isThere = to === undefined || segments.some(({ number, bytes }) => number === to.segment && bytes >= to.byte);
  // All of it was stored, and it went: what comes next begins anew.
  const isGone = !numbers.includes(from.segment);
  if (isThere)
    return { place: isGone ? { ...place, from: { ...from, byte: 0, record: 0 } } : place, segments, records };
  throw damaged(`${folder} does not have what place says was being sent`);
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
