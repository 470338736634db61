/** Times as files have them, and as a record has them: RFC 3339. */
import { BadRow } from "./row.ts";

export const units = ["s", "ms", "us", "ns"] as const;
export type Unit = (typeof units)[number];

const nsOf: Readonly<Record<Unit, bigint>> = { s: 1_000_000_000n, ms: 1_000_000n, us: 1_000n, ns: 1n };

/** Below it, a number is of the unit: as seconds it reaches to the year 5138, as the others back to 1973. */
const below: readonly (readonly [number, Unit])[] = [
  [1e11, "s"],
  [1e14, "ms"],
  [1e17, "us"],
];

const epoch = /^(-?)(\d+)(?:\.(\d+))?$/;
const calendar = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})([.,]\d+)? ?(?:([Zz])|([+-]\d{2})(?::?(\d{2}))?)?$/;

/**
 * RFC 3339, as exact as it was given. Digits count from 1970, in `unit` or the unit that their magnitude suggests; what
 * names no zone is UTC.
 */
export function toTime(text: string, unit?: Unit): string {
  const number = epoch.exec(text);
  if (number !== null) return ofEpoch(number, unit);
  const parts = calendar.exec(text);
  if (parts === null) throw new BadRow(`'${text.slice(0, 40)}' is not a time`);
  const [, date, time, fraction = "", , hours, minutes = "00"] = parts;
  return `${date}T${time}${fraction.replace(",", ".")}${hours === undefined ? "Z" : `${hours}:${minutes}`}`;
}

function ofEpoch([text, sign, whole, fraction = ""]: RegExpExecArray, unit?: Unit): string {
  const guessed = below.find(([limit]) => Number(whole) < limit)?.[1] ?? "ns";
  const scale = nsOf[unit ?? guessed];
  const part = (BigInt(fraction.slice(0, 9).padEnd(9, "0")) * scale) / 1_000_000_000n;
  const ns = (BigInt(whole) * scale + part) * (sign === "" ? 1n : -1n);
  const within = ((ns % nsOf.s) + nsOf.s) % nsOf.s;
  const date = new Date(Number((ns - within) / nsOf.ms));
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9_999)) throw new BadRow(`'${text.slice(0, 40)}' is no time that a calendar has`);
  const digits = String(within)
    .padStart(9, "0")
    .replace(/(000)+$/, "");
  return `${date.toISOString().slice(0, 19)}${digits === "" ? "" : `.${digits}`}Z`;
}
