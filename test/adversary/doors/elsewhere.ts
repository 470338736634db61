/** Odd values where a record has none, and what was answered. */

import { sent } from "./ask.ts";
import type { Store } from "./feed.ts";
import { inHeader, json, type Place, places } from "./places.ts";
import type { Elsewhere } from "./plan.ts";
import { refusalOf } from "./reply.ts";
import { plain } from "./values.ts";
import { jsonText } from "./ways-in.ts";

/** A request with a value that its head cannot hold is not made. */
const headMax = 14_000;

async function one(store: Store, { place, value }: Elsewhere): Promise<void> {
  const found = places[place] as Place;
  if (place === "producer" && !inHeader(value)) return;
  const ask = found.ask(store, value);
  const { path, headers, body } = ask;
  // A literal means something in JSON alone.
  if (value.json !== undefined && !body?.includes(jsonText(value, false))) return;
  if (path.length > headMax || JSON.stringify(headers ?? {}).length > headMax) return;
  const wanted = found.allows(value);
  const { round } = store;
  const answer = await sent(store, ask);
  const about = [`${place} ${value.name}`];
  const said = () =>
    `${place} ${value.name} (${(plain(value) ?? value.json ?? "").slice(0, 60)}): ${answer.status} ${answer.body.subarray(0, 400)}`;
  round.history.note(about, said);
  round.checks.that("never-5xx", answer.status < 500, said, about);
  round.checks.that("allowed", wanted !== "yes" || answer.status < 300, said, about);
  round.checks.that("forbidden", wanted !== "no" || answer.status >= 400, said, about);
  if (answer.status < 300) return await found.check?.(store, value, answer);
  const { status, formed, clean, detail } = refusalOf(answer);
  round.checks.that("problem", status >= 400 && status < 500 && formed && clean !== false, said, about);
  round.checks.that(
    "named",
    status === 401 || found.says.test(detail) || /line \d|column \d|UTF-8|has more than/.test(detail),
    said,
    about,
  );
}

const abreast = 6;

export async function tryElsewhere(store: Store, list: readonly Elsewhere[]): Promise<void> {
  await store.round.must("PUT", `/streams/other`, { body: { partitions: 1 } });
  await store.round.must("PUT", `/streams/other/groups/quiet`, { body: {} });
  await store.round.call("PUT", `${store.path}/groups/quiet`, { headers: json, body: '{"start":"latest"}' });
  // The fence is one for all.
  const fences = list.filter(({ place }) => place === "fence");
  const left = list.filter(({ place }) => place !== "fence");
  const worker = async () => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await one(store, next);
  };
  await Promise.all(Array.from({ length: abreast }, worker));
  for (const next of fences) await one(store, next);
}
