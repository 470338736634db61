/** Every program, in the order in which they run. */
import { damage } from "./damage/program.ts";
import { doors } from "./doors/program.ts";
import { forward } from "./forward/program.ts";
import type { Program } from "./frame/program.ts";
import { group } from "./group/program.ts";
import { history } from "./history/program.ts";
import { hostile } from "./hostile/program.ts";
import { imports } from "./import/program.ts";
import { log } from "./log/program.ts";
import { webhook } from "./webhook/program.ts";

export const programs: readonly Program[] = [
  log as Program,
  group as Program,
  webhook as Program,
  doors as Program,
  history as Program,
  hostile as Program,
  damage as Program,
  forward as Program,
  imports as Program,
];
