/**
 * `npm run serve`: the self-hosted form, on bare workerd; `-- --help` has its options. The variables MILLRACE_S3_* name the
 * archive's store.
 */
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { archiveVars } from "../src/cli/archive.ts";
import { text } from "../src/cli/arguments.ts";
import { isLoopback } from "../src/cli/defaults.ts";
import { outlastReaders } from "../src/cli/readers.ts";
import { checkTexts, variable } from "./options.ts";
import { endWithNpm } from "./under-npm.ts";
import { isPort, tokenFor, welcome } from "./welcome.ts";
import { run } from "./workerd.ts";

const values = await yargs(hideBin(process.argv))
  .scriptName("npm run serve --")
  .usage("$0 [options]")
  .options({
    host: {
      ...text,
      default: "127.0.0.1",
      describe: "Address to listen on. Beyond loopback MILLRACE_ROOT_TOKEN must be set.",
    },
    port: {
      ...text,
      default: variable("PORT") ?? "8787",
      describe: "Port to listen on; by default PORT. 0: any that is free.",
    },
    data: { ...text, default: ".millrace/data", describe: "Folder of the data." },
    inspector: { ...text, describe: "Address of workerd's inspector, such as 127.0.0.1:9229." },
    "push-private": {
      type: "boolean",
      default: false,
      describe: "Lets groups push to private addresses where the service is not on loopback (there they may).",
    },
  })
  .check(({ port, inspector, ...others }) => {
    checkTexts({ port, inspector, ...others });
    if (!isPort(port)) throw new Error(`--port must be a number from 0 to 65535, not '${port}'.`);
    if (inspector === undefined || isPort(/^[\w.-]+:(\d+)$/.exec(inspector)?.[1])) return true;
    throw new Error(`--inspector must be an address with a port, such as 127.0.0.1:9229, not '${inspector}'.`);
  })
  .strict()
  .version(false)
  .parse();
outlastReaders();
const token = tokenFor(values.host);
const privateNetwork = values["push-private"] || isLoopback(values.host);
const start = async () => run({ ...values, port: Number(values.port), token, archive: archiveVars(), privateNetwork });
const running = await start().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
console.log(welcome(running.url, token));
console.log(`Data: ${values.data}    Ctrl-C stops.`);
let stopping = false;
const stop = () => {
  stopping = true;
  running.stop();
};
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
endWithNpm("serve", stop);
await running.ended;
if (!stopping) console.error("workerd ended by itself.");
process.exit(stopping ? 0 : 1);
