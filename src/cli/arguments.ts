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

/** Fields of a configuration, as JSON. Throws `Usage` for what is no object. */
export function fields<T extends object>(text: string | undefined, flag: string): T | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Usage(`--${flag}: not JSON: ${(error as Error).message}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
  throw new Usage(`--${flag}: must be an object, such as {"name":1}`);
}

/** What options and `--config` name together. Throws `Usage` where both name the same: neither of them wins in silence. */
export function withConfig<T extends object>(options: T, text: string | undefined): T {
  const config = fields<T>(text, "config") ?? ({} as T);
  refuseBoth(config, options);
  return { ...options, ...config };
}

/** `within`: of which member of the configuration they are fields. */
export function refuseBoth(config: object, options: object, within = ""): void {
  const both = Object.keys(config).find((name) => options[name as never] !== undefined);
  if (both !== undefined)
    throw new Usage(`--config names ${within}${both}, and so does an option of its own: say it once`);
}

export const stream = { type: "string", describe: "Name of the stream.", demandOption: true } as const;
export const group = { type: "string", describe: "Name of the group.", demandOption: true } as const;

/** Options that are worth nothing without a value. */
export const text = { type: "string", requiresArg: true } as const;
export const number = { type: "number", requiresArg: true } as const;

/** A file that is read or written; undefined: the standard input or output. The parser makes an empty text of a dash. */
export const fileOf = (file: string | undefined): string | undefined =>
  file === "-" || file === "" ? undefined : file;

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
  refuseEmpty(args, texts, alias);
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

/** What may be empty: an appended text. */
const mayBeEmpty = ["values"];

/** A text that is empty is that of a variable which is not set: it must not stand for what holds without it. */
function refuseEmpty(args: Record<string, unknown>, texts: readonly string[], alias: Parsed["alias"]): void {
  const empty = texts.find((name) => !mayBeEmpty.includes(name) && [args[name]].flat().includes(""));
  if (empty === undefined) return;
  const flags = [empty, ...(alias[empty] ?? [])].map(dashed);
  const isOption = hideBin(process.argv).some((word) => flags.some((flag) => word === flag || word === `${flag}=`));
  // The parser gives a dash, which stands for a stream of this process, as an empty text.
  if (!isOption && !hideBin(process.argv).includes("")) return;
  const named = ["stream", "group"].includes(empty) ? `the name of the ${empty}` : `<${empty}>`;
  throw new Usage(
    isOption ? `${dashed(empty)} is empty: give it a value, or leave it out` : `${named} is empty: give one`,
  );
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
