/** Every program, in the order in which they run. */
import { doors } from "./doors/program.ts";
import type { Program } from "./frame/program.ts";
import { group } from "./group/program.ts";
<<<<<<< HEAD
import { history } from "./history/program.ts";
=======
import { hostile } from "./hostile/program.ts";
>>>>>>> 893ee60 (Let somebody try who means no good)
import { log } from "./log/program.ts";
import { webhook } from "./webhook/program.ts";

export const programs: readonly Program[] = [
  log as Program,
  group as Program,
  webhook as Program,
  doors as Program,
<<<<<<< HEAD
  history as Program,
=======
  hostile as Program,
>>>>>>> 893ee60 (Let somebody try who means no good)
];
