/** `GET …/records`: one partition, one key, or the whole stream; a page, or everything up to the tail. */
import type { Result } from "../../../schemas/errors.ts";
import type { Env } from "../../objects/stubs.ts";
import { eventsAnswer } from "../live/events.ts";
import { problem } from "../problem.ts";
import { pageAnswer, streamAnswer } from "./answer.ts";
import { framesAnswer } from "./frames.ts";
import { Merge } from "./merge.ts";
import { understand } from "./reading.ts";

/** A merged wait asks every partition; those that got nothing are left waiting, which must not last. */
const mergedWaitMsMax = 2_000;

export async function read(request: Request, env: Env, namespace: string, name: string): Promise<Response> {
  const reading = await understand(request, env, namespace, name);
  if (!reading.ok) return problem(reading.refusal);
  const { format, sources } = reading.value;
  if (format === "events") return eventsAnswer(env, namespace, name, reading.value.query, reading.value.start);
  if (format === "frames") return framesAnswer(reading.value);
  const merge = new Merge(sources, reading.value.backward);
  const fetched = await firstFetch(merge, reading.value.query.wait * 1_000);
  if (!fetched.ok) return problem(fetched.refusal);
  return reading.value.toTail ? streamAnswer(reading.value, merge) : pageAnswer(reading.value, merge, request);
}

async function firstFetch(merge: Merge, waitMs: number): Promise<Result<undefined>> {
  const [first, ...others] = merge.sources;
  if (others.length === 0) return first.fetch(merge.backward ? 0 : waitMs);
  const until = Date.now() + waitMs;
  for (;;) {
    const fetched = await merge.fetch(0);
    const left = until - Date.now();
    const idle = merge.sources.every((source) => source.ended && source.entry === undefined);
    if (!fetched.ok || !idle || left <= 0 || merge.backward) return fetched;
    const { terms } = first;
    const call = { ...terms, waitMs: Math.min(left, mergedWaitMsMax) };
    await Promise.race(merge.sources.map((source) => source.read({ ...call, from: source.from })));
    for (const source of merge.sources) source.ended = false;
  }
}
