/** A block of a group's place, unpacked, and looked through before it is believed. */

import type { z } from "zod";
import { type LaneDump, lanesDump, letterDump, type PlaceDump, placeDump, settledDump } from "../../schemas/dump.ts";
import { lanesProblem } from "../../schemas/dump-rules.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { lastTime } from "../../schemas/time.ts";
import { fromBase64 } from "../lib/base64.ts";
import { varintBytes, writeVarint } from "../lib/bytes.ts";
import { check } from "../lib/check.ts";
import { areRanges } from "../lib/range-bytes.ts";
import { flags, headerBytes, sealFrame } from "../log/frame.ts";
import { inspect } from "../log/inspect.ts";
import { bits } from "../log/record.ts";
import { type Block, readLetter } from "./dump.ts";
import { storedBytesMax } from "./dump-chunk.ts";
import { jsonOf } from "./dump-part.ts";

export type PlacePart =
  | {
      readonly place: Omit<PlaceDump, "group" | "partition" | "done" | "acked"> & {
        readonly done: Uint8Array;
        readonly acked: Uint8Array;
      };
    }
  | { readonly lanes: readonly LaneDump[] }
  | { readonly letter: z.output<typeof letterDump> & { readonly body: Uint8Array } }
  | { readonly settled: { readonly lanes: number; readonly letters: number } };

const bad = (detail: string) => refuse("bad-dump", detail);

/** The block as a part of a group's place on a partition. */
export function placePartOf(block: Block, group: string, partition: number): Result<PlacePart> {
  const others = (of: { group: string; partition: number }) =>
    of.group === group && of.partition === partition
      ? undefined
      : bad(`the block is of the group '${of.group}' on partition ${of.partition}`);
  if (block.name === "lanes") {
    const lanes = jsonOf(block, lanesDump);
    return lanes.ok ? (lanesProblem(lanes.value) ?? ok({ lanes: lanes.value })) : lanes;
  }
  if (block.name === "letter") return letterPart(block);
  if (block.name === "settled") {
    const settled = jsonOf(block, settledDump);
    return settled.ok ? (others(settled.value) ?? ok({ settled: settled.value })) : settled;
  }
  if (block.name !== "place") return bad(`a ${block.name} block is no part of a group's place`);
  const place = jsonOf(block, placeDump);
  if (!place.ok) return place;
  const { group: _, partition: __, done: above, acked: early = "", ...rest } = place.value;
  const [done, acked] = [fromBase64(above), fromBase64(early)];
  if (!areRanges(done, rest.floor)) return bad("done: these are no ranges above the floor");
  if (!areRanges(acked, 0)) return bad("acked: these are no ranges");
  return others(place.value) ?? ok({ place: { ...rest, done, acked } });
}

function letterPart(block: Block): Result<PlacePart> {
  const read = readLetter(block.payload);
  if (!read.ok) return read;
  const letter = check(letterDump, read.value.letter, "the letter block");
  if (!letter.ok) return bad(letter.refusal.detail);
  const { body } = read.value;
  return isRecord(body) ? ok({ letter: { ...letter.value, body } }) : bad("a dead letter is no record");
}

/** Whether bytes are one record, looked at as a frame of its own. */
function isRecord(body: Uint8Array): boolean {
  if (body.length < 2 || body.length > storedBytesMax) return false;
  const from = headerBytes + varintBytes(body.length);
  const bytes = new Uint8Array(from + body.length);
  writeVarint(bytes, headerBytes, body.length);
  bytes.set(body, from);
  sealFrame(bytes, 0, bytes.length, 1, 0);
  const ownOffsets = (body[0] & bits.offset) !== 0;
  const ownTimestamps = (body[0] & bits.timestamp) !== 0;
  const set = (ownOffsets ? flags.offsets : 0) | (ownTimestamps ? flags.times : 0);
  const frame = { bytes, at: 0, flags: set, count: 1, from: headerBytes, to: bytes.length, base: 0, timestamp: 0 };
  const timestampMax = lastTime;
  const rules = { recordBytesMax: body.length, ownOffsets, ownTimestamps, timestampMax, stored: true };
  return inspect(frame, rules).ok;
}
