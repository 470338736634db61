/** Times as files have them, and the instants that they are. */
import type { TimeForm } from "./plan.ts";

const first = 1_700_000_000n;

/** The time of a row, as a file of that form has it, as RFC 3339, and its unit, where it is a number. */
export function timeOf(n: number, form: Exclude<TimeForm, "none">): { given: string; json: string; time: string } {
  const seconds = first + BigInt(n);
  const ns = String((n * 7_919 + 123) % 1_000_000_000).padStart(9, "0");
  const iso = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
  const number = (digits: number) => {
    const given = `${seconds}${ns.slice(0, digits)}`;
    return { given, json: given, time: `${iso}${digits === 0 ? "" : `.${ns.slice(0, digits)}`}Z` };
  };
  switch (form) {
    case "rfc": {
      const given = n % 2 === 0 ? `${iso}.${ns.slice(0, 1 + (n % 9))}Z` : `${iso}.5+01:30`;
      return { given, json: JSON.stringify(given), time: given };
    }
    case "space": {
      const given = `${iso.replace("T", " ")}.${ns.slice(0, 3)}`;
      return { given, json: JSON.stringify(given), time: `${iso}.${ns.slice(0, 3)}Z` };
    }
    case "s":
      return number(0);
    case "ms":
      return number(3);
    case "us":
      return number(6);
    case "ns":
      return number(9);
  }
}

const rfc3339 = /^(\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})$/;

/** Nanoseconds since 1970, as a text; `no time` for what is none. */
export function instantOf(text: string): string {
  const parts = rfc3339.exec(text);
  if (parts === null) return "no time";
  const [, whole, fraction = "", zone] = parts;
  const seconds = Date.parse(`${whole}${zone}`) / 1_000;
  return `${BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"))}`;
}
