import { stream, text, type Yargs } from "../arguments.ts";
import { type Common, connect } from "../config.ts";
import type { forward } from "./forward.ts";

export const forwardCommand = {
  command: "forward <stream> [files..]",
  describe: "Append the lines of files as they grow, or of the standard input",
  builder: (yargs: Yargs) =>
    yargs
      .positional("stream", stream)
      .positional("files", { type: "string", array: true, describe: "They may be rotated. None: the standard input." })
      .option("state", { ...text, default: ".millrace/forward", describe: "Folder of saved positions." })
      .option("key", { ...text, describe: "Key of every record. Default: the file's path, as it is given." })
      .option("text", { type: "boolean", describe: "Lines are texts, though they may look like JSON." })
      .option("from-end", { type: "boolean", describe: "Files that are new begin at their end." })
      .option("once", { type: "boolean", describe: "Stop when everything that is there has been appended." })
      .option("quiet", { alias: "q", type: "boolean", describe: "Say only what is wrong, or may be lost." })
      .example("$0 forward logs /var/log/app.log --state /var/lib/millrace", "")
      .example("some-program | $0 forward logs --key some-program", ""),
  handler: async (args: Common & Omit<Parameters<typeof forward>[1], "files"> & { files: string[] | undefined }) => {
    const { forward } = await import("./forward.ts");
    await forward(connect(args), { ...args, files: args.files ?? [] });
  },
};
