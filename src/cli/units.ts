/** Durations, sizes and times as people write them, and how they are shown. Strict: what could be meant in two ways is refused. */
import { instantOf, lastTime } from "../../schemas/time.ts";
import { Usage } from "./output.ts";

const second = 1_000;
const units = { d: 86_400 * second, h: 3_600 * second, m: 60 * second, s: second, ms: 1 };
const week = 7 * units.d;

const kinds = ["B", "KB", "MB", "GB", "TB", "PB"];
/** `10GB` is 10^10 bytes, `10GiB` ten times 2^30. */
const sizes = new Map([
  ...kinds.map((kind, power) => [kind, 1_000 ** power] as const),
  ...kinds.slice(1).map((kind, index) => [`${kind[0]}IB`, 1_024 ** (index + 1)] as const),
]);

const number = String.raw`(\d+(?:\.\d+)?)`;
/** Each unit once, the longest first. */
const duration = new RegExp(`^${["w", "d", "h", "m", "s", "ms"].map((unit) => `(?:${number}${unit})?`).join("")}$`);
const size = new RegExp(`^${number} ?([a-z]+)?$`, "i");

/** `7d`, `90m`, `1h30m`, `500ms` in ms; undefined for what is no duration. A number without a unit is none. */
export function durationOf(text: string): number | undefined {
  const parts = text === "" ? null : duration.exec(text);
  if (parts === null) return undefined;
  const each = [week, ...Object.values(units)];
  const ms = each.reduce((sum, unit, index) => sum + Number(parts[index + 1] ?? 0) * unit, 0);
  return Number.isSafeInteger(Math.round(ms)) ? Math.round(ms) : undefined;
}

/** `10GiB`, `10GB`, `512KiB`, `512` in bytes; undefined for what is no size, or no whole number of bytes. */
export function sizeOf(text: string): number | undefined {
  const [, count, kind = "B"] = size.exec(text) ?? [];
  const unit = sizes.get(kind.toUpperCase()) ?? Number.NaN;
  const bytes = unit === 1 ? Number(count) : Math.round(Number(count) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `1h` ago, a day (it begins in UTC), or a time in RFC 3339, as that; undefined for what is none of them. */
export function timeOf(text: string, now = Date.now()): string | undefined {
  if (instantOf(text) !== undefined) return text;
  const day = `${text}T00:00:00Z`;
  if (/^\d{4}-\d\d-\d\d$/.test(text) && instantOf(day) !== undefined) return day;
  const ago = durationOf(text.replace(/ ago$/, ""));
  const at = now - (ago ?? Number.NaN);
  return at >= 0 && at <= lastTime ? new Date(at).toISOString() : undefined;
}

/** A place in a stream: a time as above in RFC 3339; an offset, a cursor and every other word as it is. */
export const placeOf = (text: string, now = Date.now()): string => timeOf(text, now) ?? text;

const example = {
  duration: "a duration such as 7d, 90m, 1h30m or 500ms",
  size: "a size such as 10GiB, 10GB, 512KiB, or a number of bytes",
  time: "a time: 1h (ago), 2026-11-28, or RFC 3339 such as 2026-11-28T10:00:00Z",
};

const refusal = (flag: string, text: string, wanted: string) => new Usage(`${flag}: '${text}' is not ${wanted}`);

/** A duration of an option, in ms; with `bare` also a number alone, which is in ms. Throws `Usage`. */
export function milliseconds(flag: string, text: string, bare = false): number {
  if (bare && /^\d+$/.test(text)) return Number(text);
  const ms = durationOf(text);
  if (ms !== undefined) return ms;
  throw refusal(flag, text, `${example.duration}${bare ? ", or a number of milliseconds" : ""}`);
}

/** A size of an option, in bytes. Throws `Usage`. */
export function bytes(flag: string, text: string): number {
  const found = sizeOf(text);
  if (found === undefined) throw refusal(flag, text, example.size);
  return found;
}

/** A time of an argument, in RFC 3339. Throws `Usage`; `or` says what else it may be. */
export function time(flag: string, text: string, or = ""): string {
  const found = timeOf(text);
  if (found === undefined) throw refusal(flag, text, `${or}${example.time}`);
  return found;
}

/** Ms as `durationOf` reads them, exactly. */
export function shownDuration(ms: number): string {
  let rest = ms;
  const parts = Object.entries(units).map(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest -= count * length;
    return count === 0 ? "" : `${count}${unit}`;
  });
  return parts.join("") || "0s";
}

/** An age, as precise as anybody wants to know it: `3d4h`, `12m5s`, `0.4s`. */
export function shownAge(ms: number): string {
  if (ms < 10 * second) return `${(Math.max(0, ms) / second).toFixed(1)}s`;
  const grain = ms >= units.d ? units.h : ms >= units.h ? units.m : second;
  return shownDuration(ms - (ms % grain));
}

/** Bytes with a unit and three digits: `1.46 GiB`; exact below 1 KiB. */
export function shownSize(count: number): string {
  const power = Math.min(kinds.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  if (power === 0) return `${count} B`;
  const value = count / 1_024 ** power;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${kinds[power][0]}iB`;
}
