/**
 * Times as RFC 3339 has them, in one place for everything that computes with one: a record's timestamp, trimming by a time,
 * columns of Parquet files. What is taken is kept as it was sent; this is only what it counts as.
 */

const form = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Most times: in UTC, on a day that every month has. The platform reads them right, and four times as fast. */
const plain = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,3})?Z$/;

/**
 * Ms since 1970, cut to the millisecond; undefined for what is no time. A leap second counts as the second after it, as in
 * POSIX.
 */
export function instantOf(text: string): number | undefined {
  if (plain.test(text)) return Date.parse(text);
  const parts = form.exec(text);
  if (parts === null) return undefined;
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number);
  const [offsetHour, offsetMinute] = [Number(parts[9] ?? 0), Number(parts[10] ?? 0)];
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) return undefined;
  const date = new Date(0);
  // A day that the month has not becomes one of the next; the constructor takes the first hundred years for others.
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const offset = (offsetHour * 60 + offsetMinute) * (parts[8] === "-" ? -1 : 1);
  const begun = date.getTime() + (hour * 60 + minute - offset) * 60_000;
  if (second === 60 && !isFirstOfMonth(begun + 60_000)) return undefined;
  return begun + second * 1_000 + Number((parts[7] ?? "").slice(0, 3).padEnd(3, "0"));
}

/** Whether a month of UTC begins. */
function isFirstOfMonth(time: number): boolean {
  const date = new Date(time);
  return date.getUTCDate() === 1 && date.getUTCHours() === 0 && date.getUTCMinutes() === 0;
}

const example = "must be an RFC 3339 time such as 2026-11-20T10:00:00Z";

/** What is wrong with a text that should be a time, if so. */
export function timeProblem(text: string): string | undefined {
  if (instantOf(text) !== undefined) return undefined;
  if (/^[\d-]{10} /.test(text)) return `${example}; a T stands between date and time`;
  if (/[Tt]24:/.test(text)) return `${example}; midnight is 00:00:00 of the day that begins`;
  if (/:60(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text))
    return `${example}; a second 60 ends the last minute of a month, in UTC`;
  if (/[Tt]\d\d:\d\d([Zz]|[+-])/.test(text)) return `${example}; seconds may not be left out`;
  if (/:\d\d(\.\d+)?$/.test(text)) return `${example}; it ends with Z, or an offset such as +01:00`;
  return example;
}

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
const unit = "(\\d{1,9})(ms|[smhdw])";
const durationForm = new RegExp(`^(?:${unit})+$`);
const day = /^\d{4}-\d\d-\d\d$/;

/** A duration as people write it, such as `90m` or `1h30m`, in ms; undefined for what is none. */
export function durationOf(text: string): number | undefined {
  if (!durationForm.test(text)) return undefined;
  const parts = [...text.matchAll(new RegExp(unit, "g"))];
  return parts.reduce((sum, [, count, name]) => sum + Number(count) * units[name as keyof typeof units], 0);
}

/**
 * A time as it may be said where a place is asked for: RFC 3339, a day (its midnight in UTC), or how long before `now`, where
 * there is one. In ms since 1970; undefined for what is none.
 */
export function momentOf(text: string, now?: number): number | undefined {
  if (day.test(text)) return instantOf(`${text}T00:00:00Z`);
  const ago = now === undefined ? undefined : durationOf(text);
  return ago === undefined || now === undefined ? instantOf(text) : now - ago;
}

/** What is wrong with a text that should say a time so, if anything is. */
export function momentProblem(text: string): string | undefined {
  const problem = momentOf(text, 0) === undefined ? timeProblem(text) : undefined;
  return problem === undefined
    ? undefined
    : `${problem}; a day such as 2026-11-20, or so long ago, such as 90m, will do`;
}

/** 9999-12-31T23:59:59.999Z in ms since 1970: what is later has no form in RFC 3339. */
export const lastTime = 253_402_300_799_999;
