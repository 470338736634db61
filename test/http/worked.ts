/** What a service costs. */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Service } from "./service.ts";

/** Hundredths of a second that a service has been at work. */
function worked({ pid }: Service): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** The share of a core, in hundredths, that a service takes for some time. */
export async function load(service: Service, ms: number): Promise<number> {
  const before = worked(service);
  await pause(ms);
  return ((worked(service) - before) * 1_000) / ms;
}
