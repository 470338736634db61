/** `GET …/records`: one partition, one key, or the whole stream; a page, or everything up to the tail. */
import { eventsAnswer } from "../live/events.ts";
import { problem } from "../problem.ts";
import { pageAnswer, streamAnswer } from "./answer.ts";
import { framesAnswer } from "./frames.ts";
import { Merge } from "./merge.ts";
import { type Reader, type Reading, understand } from "./reading.ts";
import { refused } from "./trimmed.ts";
import { firstFetch } from "./wait.ts";

export async function read(reader: Reader): Promise<Response> {
  const understood = await understand(reader);
  if (!understood.ok) return problem(understood.refusal);
  const reading = understood.value;
  try {
    return await answerTo(reader, reading);
  } finally {
    reading.end();
  }
}

async function answerTo(reader: Reader, reading: Reading): Promise<Response> {
  const { query, start, format } = reading.terms;
  if (format === "events") return eventsAnswer(reader.env, reader.namespace, reader.name, query, start, reader.until);
  const settled = await reading.settle();
  if (!settled.ok) return problem(settled.refusal);
  if (format === "frames") return framesAnswer(reading);
  const { sources, backward, route } = reading;
  const merge = new Merge(sources, backward, route.stream.config.timestamps === "arrival", reading);
  const fetched = await firstFetch(reading, merge);
  if (!fetched.ok) return refused(reading, fetched.refusal);
  return reading.toTail ? streamAnswer(reading, merge) : pageAnswer(reading, merge, reader.request);
}
