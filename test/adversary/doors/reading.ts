/** Ways out of a stream by requests: pages, lines, frames, by key. */
import type { Answer } from "../frame/http.ts";
import type { Kept, Store } from "./feed.ts";
import { words } from "./feed.ts";
import { unpacked } from "./frames.ts";
import { Look } from "./look.ts";
import { items, members, parsed } from "./raw-json.ts";
import { seenIn, seenInFrame, wantedBytes } from "./seen.ts";
import type { Binary } from "./values.ts";
import { queryText } from "./ways-in.ts";

async function read(store: Store, query: string, accept = "application/json"): Promise<Answer> {
  const answer = await store.round.ask(
    "GET",
    `${store.path.slice(`/v1/${store.round.name}`.length)}/records?${query}`,
    {
      headers: { accept },
    },
  );
  store.round.checks.that(
    "readable",
    answer.status === 200,
    () => `${query} was answered ${answer.status}: ${answer.body}`,
  );
  return answer;
}

const binary = (answer: Answer): Binary => answer.body.toString("latin1");

/** Page by page; every record of each. */
export async function pages(store: Store, query = "limit=200", look = new Look(store, "page")): Promise<void> {
  for (let from = "earliest"; ; ) {
    const page = members(binary(await read(store, `from=${queryText(from)}&${query}`)));
    for (const record of items(page.get("records") as Binary)) look.take(seenIn(record));
    if (parsed(page.get("upToDate") as Binary) === true) break;
    from = parsed(page.get("cursor") as Binary) as string;
  }
  look.complete();
}

export async function lines(store: Store): Promise<void> {
  const look = new Look(store, "lines", { oneLine: true });
  for (let from = "earliest"; ; ) {
    const answer = await read(store, `from=${queryText(from)}&limit=300`, "application/x-ndjson");
    for (const line of binary(answer).split("\n")) if (line !== "") look.take(seenIn(line));
    if (answer.headers["millrace-up-to-date"] === "true") break;
    from = answer.headers["millrace-cursor"] as string;
  }
  look.complete();
}

/** Everything in one answer. */
export async function whole(store: Store): Promise<void> {
  const look = new Look(store, "whole");
  const answer = members(binary(await read(store, "from=earliest&maxBytes=all")));
  for (const record of items(answer.get("records") as Binary)) look.take(seenIn(record));
  look.complete();
}

export async function frames(store: Store, partitions: number): Promise<void> {
  const look = new Look(store, "frames");
  for (let partition = 0; partition < partitions; partition++) {
    for (let from = "0"; ; ) {
      const query = `partition=${partition}&from=${from}&limit=500`;
      const answer = await read(store, query, "application/vnd.millrace.frames");
      const first = Number(answer.headers["millrace-from"] ?? from);
      for (const record of unpacked(answer.body)) {
        if (record.offset >= first) look.take(seenInFrame(record, partition));
      }
      if (answer.headers["millrace-up-to-date"] === "true") break;
      from = String(answer.headers["millrace-next"]);
    }
  }
  look.complete();
}

/** By each odd key, type, source and tag: exactly the records that have it. */
export async function filtered(store: Store, most: number): Promise<void> {
  // First: a read by key asks the partition of the key alone, and lacks what lies elsewhere.
  samePartition(store);
  for (const [name, values] of oddValues(store)) {
    for (const [value, kept] of [...values].slice(0, most)) {
      const wanted = new Map(kept.map((one) => [one.place, one]));
      const query = `${name}=${queryText(value)}&limit=1000`;
      store.round.history.note(
        kept.map(({ draft }) => `${draft.n}`),
        () => `read with ${query.slice(0, 200)}`,
      );
      await pages(store, query, new Look(store, "keys", {}, wanted));
    }
  }
}

type ByValue = Map<Binary, Kept[]>;

/** Records by what they can be filtered by, where that is odd. */
export function oddValues(store: Store): Map<string, ByValue> {
  const found = new Map<string, ByValue>();
  const all = new Map<string, ByValue>();
  const add = (map: Map<string, ByValue>, name: string, value: Binary, kept: Kept) => {
    const values = map.get(name) ?? new Map<Binary, Kept[]>();
    map.set(name, values.set(value, [...(values.get(value) ?? []), kept]));
  };
  for (const kept of store.byPlace.values()) {
    const { fields, tags } = kept.made;
    for (const name of ["key", "type", "source"]) {
      const value = fields.get(name);
      if (value !== undefined) add(all, name, wantedBytes(value, kept.draft.way), kept);
    }
    for (const tag of new Set(tags.map((one) => wantedBytes(one, kept.draft.way)))) add(all, "tag", tag, kept);
  }
  for (const [name, values] of all) {
    const odd = [...values].filter(([, list]) =>
      list.some(({ draft }) => draft.odd.some(({ field }) => field.startsWith(name))),
    );
    // A request of 14 000 characters is as long as a head may be.
    found.set(name, new Map(odd.filter(([value]) => value.length < 4000)));
  }
  return found;
}

/** Records of a key lie together, whichever way they came in. */
function samePartition(store: Store): void {
  for (const kept of oddValues(store).get("key")?.values() ?? []) {
    const partitions = new Set(kept.map(({ place }) => place.split(".")[0]));
    const apart = () =>
      `records of one key lie in partitions ${[...partitions]}: ${kept.map(({ draft }) => words(draft)).join("; ")}`;
    store.round.checks.that(
      "together",
      partitions.size === 1,
      apart,
      kept.map(({ draft }) => `${draft.n}`),
    );
  }
}
