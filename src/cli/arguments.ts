/** What several commands share of their arguments. */
import type { Argv } from "yargs";
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
