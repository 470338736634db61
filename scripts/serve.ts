/**
 * `npm run serve`: the self-hosted form, on bare workerd. Options: --host, --port, --data, --inspector, and
 * --push-private, which lets groups push to private addresses where the service is not on loopback (there they may). The
 * variables MILLRACE_S3_* name the archive's store.
 */
import { parseArgs } from "node:util";
import { archiveVars } from "../src/cli/archive.ts";
import { isLoopback } from "../src/cli/defaults.ts";
import { tokenFor, welcome } from "./welcome.ts";
import { run } from "./workerd.ts";

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: process.env.PORT ?? "8787" },
    data: { type: "string", default: ".millrace/data" },
    inspector: { type: "string" },
    "push-private": { type: "boolean", default: false },
  },
});
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
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    stopping = true;
    running.stop();
  });
}
await running.ended;
if (!stopping) console.error("workerd ended by itself.");
process.exit(stopping ? 0 : 1);
