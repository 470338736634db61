import { text, type Yargs } from "../arguments.ts";
import type { dump } from "./dump.ts";
import type { restore } from "./restore.ts";

export const dumpCommand = {
  command: "dump [what]",
  describe: "Write a namespace, or namespace/stream, to a file",
  builder: (yargs: Yargs) =>
    yargs
      .positional("what", { type: "string", describe: "A namespace, or namespace/stream. Default: --namespace." })
      .option("output", { alias: "o", ...text, describe: "File. None, or -: the standard output." })
      .option("resume", { type: "boolean", describe: "Go on with the file, where it is there." })
      .option("gzip", { type: "boolean", describe: "Compress; also where the file's name ends with .gz." })
      .option("verify", { type: "boolean", describe: "Look the file through afterwards." })
      .example("$0 dump shop > shop.mrdp", "")
      .example("$0 dump shop/orders -o orders.mrdp --resume", ""),
  handler: async (args: Parameters<typeof dump>[0]) => (await import("./dump.ts")).dump(args),
};

export const restoreCommand = {
  command: "restore <file>",
  describe: "Make streams of a dump's file; the same command again goes on",
  builder: (yargs: Yargs) =>
    yargs
      .positional("file", { type: "string", demandOption: true, describe: "As dump has written it." })
      .option("stream", { ...text, describe: "Only this stream; old=new gives it another name." })
      .option("new-id", { type: "boolean", describe: "Give logs and groups new ids: the original lives on." })
      .option("verify", { type: "boolean", describe: "Read everything back, and compare, before it is finished." })
      .option("resume", {
        type: "boolean",
        describe: "Let groups go on at once. Otherwise they stand still until resumed.",
      })
      .example("$0 restore shop.mrdp --namespace shop-2 --new-id", ""),
  handler: async (args: Parameters<typeof restore>[0]) => (await import("./restore.ts")).restore(args),
};

export const verifyCommand = {
  command: "verify <file>",
  describe: "Look a dump's file through, without a service",
  builder: (yargs: Yargs) => yargs.positional("file", { type: "string", demandOption: true, describe: "A dump." }),
  handler: async (args: { file: string; json?: boolean }) => (await import("./verify.ts")).verify(args.file, args.json),
};
