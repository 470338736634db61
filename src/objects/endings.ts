/** Ends streams whose time is over, and those that have been empty for long enough. */
import type { Catalog } from "../catalog/catalog.ts";
import { isOver, type Lifetime } from "../catalog/lifetimes.ts";
import type { Stream } from "../catalog/stream.ts";
import { closedMs } from "../log/facts.ts";
import type { Telling } from "./telling.ts";

/** Does what is to be done about a stream whose time has come to be looked at. */
export async function lookAfter(core: Catalog, telling: Telling, { log, name }: Lifetime): Promise<void> {
  const stream = core.stream(name);
  const now = Date.now();
  if (!stream.ok || stream.value.logId !== log) return core.lifetimes.drop(log);
  const { config, created } = stream.value;
  const over = isOver(config, created, now);
  if (!over && !(await closed(core, telling, stream.value, now))) {
    const current = core.stream(name);
    if (current.ok && current.value.logId === log) core.lifetimes.set(current.value, now);
    return;
  }
  // It may have been changed, or made anew, while its partitions were asked.
  const current = core.stream(name);
  const same = current.ok && current.value.logId === log && current.value.version === stream.value.version;
  if (same && Date.now() - now < closedMs / 2) {
    core.drop(name, Date.now());
    return;
  }
  if (!over) await reopen(core, telling, stream.value);
  if (current.ok && current.value.logId === log) core.lifetimes.set(current.value, now);
}

/** True where every partition is empty, has been for long enough, and takes nothing any more. */
async function closed(core: Catalog, telling: Telling, stream: Stream, now: number): Promise<boolean> {
  const { deleteOnEmptyMs } = stream.config;
  if (deleteOnEmptyMs === null || stream.updated > now - deleteOnEmptyMs) return false;
  const opened = core.opened(stream.logId);
  const answers = await Promise.allSettled(
    opened.map((number) => telling.stub(stream, number).order("close", deleteOnEmptyMs)),
  );
  const all = answers.every(
    (one) => one.status === "fulfilled" && ((one.value.ok && one.value.value) || isNew(one.value)),
  );
  // A stream that came to be open meanwhile has something.
  if (all && core.opened(stream.logId).length === opened.length) return true;
  await reopen(core, telling, stream);
  return false;
}

/** One that cannot be reached is open again before long, by itself. */
async function reopen(core: Catalog, telling: Telling, stream: Stream): Promise<void> {
  await Promise.allSettled(core.opened(stream.logId).map((number) => telling.stub(stream, number).order("reopen")));
}

/** A partition that never was has nothing in it. */
const isNew = (answer: { ok: boolean } & object): boolean => "moved" in answer && answer.moved === 0;
