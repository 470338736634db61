/** Every operation, with every value in every place of it. */
import { odd, placeName, placesOf, sentOf } from "./asking.ts";
import type { FieldAttack } from "./plan.ts";
import { at, nameOf } from "./reference.ts";
import type { Siege } from "./siege.ts";
import { valueNamed } from "./values.ts";

/** A head of a request has so much room. */
const headMax = 14_000;

export async function field(siege: Siege, { operation: share, place: placeShare, value }: FieldAttack): Promise<void> {
  const { known, ground, round } = siege;
  const operation = at(known.operations, share, nameOf);
  const place = at(placesOf(operation), placeShare, placeName);
  const made = odd(operation, place, valueNamed(value), ground);
  if (made === undefined) return;
  const sent = sentOf(operation, made.request, siege.bearer);
  if (sent.path.length + JSON.stringify(sent.headers).length > headMax) return;
  const words = `${nameOf(operation)}, ${placeName(place)} ${value}`;
  const astray = place.in === "path";
  const answer = await siege.ask(sent, { method: sent.method, operation, astray, words });
  const said = () =>
    `${words}: ${answer.status} to ${sent.path.slice(0, 300)} ${sent.body?.subarray(0, 300).toString()}`;
  round.checks.that("schema", !made.forbidden || answer.status >= 400, said, [words]);
  if (answer.status >= 400) {
    if (answer.json?.clean !== false) siege.refused(words);
  } else if (sent.method === "GET") siege.refused(words);
  else {
    await siege.changed(operation);
    // A name that nobody expects may have been taken.
    if (astray) await ground.clear([round.name, ground.namespace, ground.foreign, "default"]);
  }
}
