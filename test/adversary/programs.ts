/** Every program, in the order in which they run. */
import type { Program } from "./frame/program.ts";
import { group } from "./group/program.ts";
import { webhook } from "./webhook/program.ts";

export const programs: readonly Program[] = [group as Program, webhook as Program];
