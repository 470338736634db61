/** Where the service is, and who asks: kept in a file. */
import { given, type Yargs } from "./arguments.ts";
import { profilePath, readProfile, settle, writeProfile } from "./config.ts";
import { print } from "./output.ts";

/** A command with the common options only. */
const noMore = (yargs: Yargs) => yargs;

export const contextCommands = (yargs: Yargs) =>
  yargs
    .command("set", "Write what is given", noMore, (args) => {
      const path = profilePath(args.profile);
      writeProfile(path, { ...readProfile(path), ...given(args as never, ["url", "token", "namespace"]) });
      print(`written to ${path}`);
    })
    .command("show", "What holds now, from flags, environment and file", noMore, (args) => {
      const { token, ...rest } = settle(args);
      const shown = { ...rest, token: `${token.slice(0, 4)}…`, profile: profilePath(args.profile) };
      const lines = Object.entries(shown).map((entry) => entry.join("  "));
      print(args.json ? JSON.stringify(shown) : lines.join("\n"));
    })
    .demandCommand(1, "say which: set or show");
