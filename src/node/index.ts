/** What a client may be given where there is a file system, on Node, Bun and Deno: `millrace/node`. */
import type { OpenSpool, ProducerOptions } from "../client/index.ts";
import { nothing } from "../client/json.ts";
import { demandFunctions, demandWhole } from "./options.ts";
import { type SpooledOptions, SpooledProducer, type SpoolOptions } from "./spooled-producer.ts";

export { type SpooledOptions, SpooledProducer, type SpoolOptions };

/** What has no meaning where records wait on the disk, for as long as it takes. */
const others: readonly (keyof ProducerOptions)[] = ["epoch", "lingerMs", "bufferBytes", "bufferRecords", "attempts"];

/**
 * For `spool` of a producer's options: what could not be sent yet lies in the folder, and is sent by the next process if not by
 * this one. One producer uses a folder at a time. Opening reads what lies there.
 *
 * @example
 * const producer = millrace.stream("orders").producer({ spool: spool("/var/lib/shop/orders", { bytesMax: 268_435_456 }) });
 * await producer.push({ key: "customer-7", data: { total: 12 } });
 * await producer.close({ timeoutMs: 5_000 });
 */
export function spool(folder: string, options: SpoolOptions = {}): OpenSpool<SpooledProducer> {
  const { bytesMax = 1_073_741_824, recordsMax = Number.POSITIVE_INFINITY, onTrouble, ...left } = options;
  nothing(left);
  if (typeof folder !== "string" || folder === "") throw new TypeError("folder: must be a path");
  demandWhole({ bytesMax, recordsMax }, 1, true);
  demandFunctions({ onTrouble });
  return (stream, given) => {
    for (const name of others)
      if (given[name] !== undefined) throw new TypeError(`${name}: has no meaning for a producer with a spool`);
    const { id, partition, batchBytes, batchRecords, onSettled, signal, ...left } = given;
    const { epoch, lingerMs, bufferBytes, bufferRecords, attempts, ...odd } = left;
    nothing(odd);
    demandWhole({ batchBytes, batchRecords }, 1, true);
    demandWhole({ partition }, 0);
    demandFunctions({ onSettled });
    if (signal !== undefined && !(signal instanceof AbortSignal)) throw new TypeError("signal: must be an AbortSignal");
    return new SpooledProducer(stream, folder, { bytesMax, recordsMax }, onTrouble, given);
  };
}
