/** What several commands share of their arguments. */
import type { Argv } from "yargs";
import { hideBin } from "yargs/helpers";
import type { Common } from "./config.ts";
import { Usage } from "./output.ts";

export type Yargs = Argv<Common>;

/** Fields of a configuration that were given. */
export function given<T extends object>(args: Record<string, unknown>, names: readonly (keyof T & string)[]): T {
  return Object.fromEntries(names.filter((name) => args[name] !== undefined).map((name) => [name, args[name]])) as T;
}

export function json<T>(text: string | undefined, flag: string): T | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new Usage(`--${flag}: not JSON: ${(error as Error).message}`);
  }
}

export const stream = { type: "string", describe: "Name of the stream.", demandOption: true } as const;
export const group = { type: "string", describe: "Name of the group.", demandOption: true } as const;

/** Options that are worth nothing without a value. */
export const text = { type: "string", requiresArg: true } as const;
export const number = { type: "number", requiresArg: true } as const;

/** An option as it is written. */
export const dashed = (name: string): string => `${name.length > 1 ? "--" : "-"}${name}`;

/**
 * Refuses what is said twice and is one, and what is no number, or nothing at all. NaN would become null in JSON, which lifts a bound; and an empty
 * text, such as that of a variable that is not set, would become 0.
 */
export function checkValues(args: Record<string, unknown>, options: Record<string, unknown>): true {
  const { number: names, string: texts, array: lists, alias } = options as unknown as Parsed;
  const twice = texts.find((name) => Array.isArray(args[name]) && !lists.includes(name));
  if (twice !== undefined) throw new Usage(`${dashed(twice)} is one, and was given twice`);
  const all = [...hideBin(process.argv), "--"];
  const words = all.slice(0, all.indexOf("--"));
  for (const name of names) {
    const value = args[name];
    const flags = [name, ...(alias[name] ?? [])].map(dashed);
    const empty = words.some((word, at) => flags.includes(word.split("=")[0]) && isEmpty(word, words[at + 1]));
    if ((value !== undefined && !Number.isFinite(value)) || empty)
      throw new Usage(`${dashed(name)} must be one number`);
  }
  return true;
}

/** What the parser knows of the options. */
interface Parsed {
  readonly number: readonly string[];
  readonly string: readonly string[];
  readonly array: readonly string[];
  readonly alias: Readonly<Record<string, readonly string[]>>;
}

const isEmpty = (word: string, next: string | undefined) =>
  (word.includes("=") ? word.slice(word.indexOf("=") + 1) : (next ?? "-")).trim() === "";
