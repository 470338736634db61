/** What has an id is sent again, by another way: it is there already, at the same place. */
import { expected, Feed, type Kept, type Store, words } from "./feed.ts";
import { type Draft, type Field, type Way, ways } from "./plan.ts";
import { made } from "./want.ts";
import { canSay } from "./ways-in.ts";

const unlike = new Set<Field>(["name", "tags", "datacontenttype"]);

/** The other way that can say it; which one depends on its number. */
function otherWay(kept: Kept): Draft | undefined {
  const { draft } = kept;
  // What a way makes of a value, or leaves out, another need not.
  const odd = draft.odd.some(({ field, value }) => value.bytes !== undefined || unlike.has(field));
  if (odd || expected(draft) !== "yes" || !kept.made.fields.has("id")) return undefined;
  for (let i = 1; i < ways.length; i++) {
    const way = ways[(ways.indexOf(draft.way) + draft.n + i) % ways.length] as Way;
    const other: Draft = { ...draft, way, escaped: true };
    if (way !== draft.way && sameNames(kept, other) && canSay(way, made(other))) return other;
  }
  return undefined;
}

/** Some ways need a source where others need none, and it is a part of the name. */
const sameNames = (kept: Kept, other: Draft): boolean =>
  ["id", "source", "key"].every((field) => kept.made.fields.get(field)?.text === made(other).fields.get(field)?.text);

export async function again(store: Store): Promise<void> {
  const feed = new Feed(store);
  try {
    for (const kept of [...store.byPlace.values()]) {
      const other = kept.draft.odd.length > 0 ? otherWay(kept) : undefined;
      if (other === undefined) continue;
      const { stored, refusal } = await feed.send(other, [other]);
      const [one] = stored ?? [];
      const known = one?.verdict === "duplicate" && one.place === kept.place;
      const came = () =>
        one === undefined ? `${refusal?.code}: ${refusal?.detail}` : `${one.verdict} at ${one.place}`;
      const told = () => `${words(other)} lies at ${kept.place} since it came by ${kept.draft.way}; it was ${came()}`;
      store.round.checks.that("same-name", known, told, [`${other.n}`]);
    }
  } finally {
    feed.close();
  }
}
