/** The options that set a group's fields. */
import type { GroupConfig } from "../client/index.ts";
import { given, group, number, stream, text, withConfig, type Yargs } from "./arguments.ts";
import { Usage } from "./output.ts";
import { milliseconds, placeOf } from "./units.ts";

const asTheyAre = ["order", "onFailure", "maxInFlight", "ackTimeoutMs", "maxDeliveries", "deadLetterStream"] as const;

export const groupOptions = (yargs: Yargs) =>
  yargs
    .positional("stream", stream)
    .positional("group", group)
    .option("start", { ...text, describe: "earliest, latest, a time, or a cursor. Afterwards: groups seek." })
    .option("order", { choices: ["key", "partition", "none"] as const })
    .option("on-failure", { choices: ["block", "park", "skip"] as const })
    .option("max-in-flight", { ...number, describe: "Records under lease at a time, in each partition." })
    .option("ack-timeout", { ...text, describe: "How long a lease lasts, such as 30s." })
    .option("ack-timeout-ms", { ...number, hidden: true })
    .option("max-deliveries", { ...number, describe: "Attempts before --on-failure says what happens." })
    .option("backoff", { ...text, describe: "Pauses between attempts, such as 1s,5s,1m; the last one repeats." })
    .option("dead-letter-stream", { ...text, describe: "Dead letters are appended here too." })
    .option("push", { ...text, describe: "URL of a receiver. The rest of a push stays." })
    .option("secret", {
      ...text,
      array: true,
      describe: "Signs what is pushed (whsec_…); several while one replaces another.",
    })
    .option("generate-secret", {
      type: "boolean",
      describe: "Make one, beside those that are there, and show it once.",
    })
    .option("config", {
      ...text,
      describe: "Any further fields, as JSON. Of those that are left out, update keeps what is there.",
    });

interface Given {
  start?: string | undefined;
  ackTimeout?: string | undefined;
  ackTimeoutMs?: number | undefined;
  backoff?: string | undefined;
  config?: string | undefined;
}

/** The fields that were named. Throws `Usage`. */
export function groupConfigOf(args: Given): GroupConfig {
  const { start, ackTimeout, ackTimeoutMs, backoff } = args;
  if (ackTimeout !== undefined && ackTimeoutMs !== undefined)
    throw new Usage("give --ack-timeout or --ack-timeout-ms, and not both");
  const options: GroupConfig = {
    ...given<GroupConfig>(args as Record<string, unknown>, asTheyAre),
    ...(start === undefined ? {} : { start: placeOf(start) }),
    ...(ackTimeout === undefined ? {} : { ackTimeoutMs: milliseconds("--ack-timeout", ackTimeout) }),
    ...(backoff === undefined
      ? {}
      : { backoff: backoff.split(",").map((one) => milliseconds("--backoff", one.trim())) }),
  };
  return withConfig(options, args.config);
}
