/**
 * Times as RFC 3339 has them, in one place for everything that computes with one: a record's timestamp, trimming by a time,
 * columns of Parquet files. What is taken is kept as it was sent; this is only what it counts as.
 */

const form =
  /^(\d{4}-\d\d-\d\d)[Tt]((?:[01]\d|2[0-3]):[0-5]\d):([0-5]\d|60)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Most times: in UTC, on a day that every month has. The platform reads them right, and four times as fast. */
const plain = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,3})?Z$/;

/**
 * Ms since 1970, cut to the millisecond; undefined for what is no time. A leap second counts as the second after it, as in
 * POSIX.
 */
export const instantOf = (text: string): number | undefined =>
  plain.test(text) ? Date.parse(text) : slowInstantOf(text);

/** The same without the fast way: the library, which is small, has few to read. */
export function slowInstantOf(text: string): number | undefined {
  const parts = form.exec(text);
  if (parts === null) return undefined;
  const [, day, clock, second, fraction = "", zone] = parts;
  // The platform takes a day that the month has not for one of the next.
  if (new Date(day).toJSON()?.slice(0, 10) !== day) return undefined;
  const begun = Date.parse(`${day}T${clock}${zone.toUpperCase()}`);
  // Only a month of UTC begins behind a leap second.
  if (second === "60" && !/-01T00:00/.test(new Date(begun + 60_000).toJSON())) return undefined;
  return begun + Number(second) * 1_000 + Number(fraction.slice(0, 3).padEnd(3, "0"));
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
const durationForm = /^(?:\d{1,9}(?:ms|[smhdw]))+$/;
const durationPart = /(\d{1,9})(ms|[smhdw])/g;
const day = /^\d{4}-\d\d-\d\d$/;

/** A duration as people write it, such as `90m` or `1h30m`, in ms; undefined for what is none. */
export function durationOf(text: string): number | undefined {
  if (!durationForm.test(text)) return undefined;
  const parts = [...text.matchAll(durationPart)];
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
