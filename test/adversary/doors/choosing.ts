/** Ways out through a filter: groups that have one, groups for a few keys alone, subscriptions. */
import { WebSocketClient } from "../frame/web-socket.ts";
import type { Kept, Store } from "./feed.ts";
import { Look } from "./look.ts";
import { items, members, parsed } from "./raw-json.ts";
import { oddValues } from "./reading.ts";
import { seenIn } from "./seen.ts";
import { below, drained, putGroup } from "./taking.ts";
import { type Binary, binaryOf, textOf } from "./values.ts";

/** Names of a filter, by those of a query. */
const filterOf: Readonly<Record<string, (text: string) => object>> = {
  key: (key) => ({ key }),
  type: (type) => ({ types: [type] }),
  source: (source) => ({ sources: [source] }),
  tag: (tag) => ({ tags: [tag] }),
};

/** By a few odd values each: exactly the records that have them. */
export async function chosen(store: Store, most: number): Promise<void> {
  for (const [name, values] of oddValues(store)) {
    for (const [value, kept] of [...values].slice(0, most)) {
      const wanted = new Map(kept.map((one) => [one.place, one]));
      const filter = (filterOf[name] as (text: string) => object)(textOf(value));
      store.round.history.note(numbers(kept), () => `a filter ${JSON.stringify(filter).slice(0, 200)}`);
      await byGroup(store, { order: "none", filter }, wanted);
      if (name === "key") await byGroup(store, { only: [textOf(value)] }, wanted);
      await bySubscription(store, filter, wanted);
    }
  }
}

const numbers = (kept: readonly Kept[]): string[] => kept.map(({ draft }) => `${draft.n}`);

async function byGroup(store: Store, definition: object, wanted: ReadonlyMap<string, Kept>): Promise<void> {
  await putGroup(store, "chosen", definition);
  await drained(store, "chosen", new Look(store, "chosen", {}, wanted));
  await store.round.must("DELETE", below(store, "/groups/chosen"));
}

async function bySubscription(store: Store, filter: object, wanted: ReadonlyMap<string, Kept>): Promise<void> {
  const { service } = store.round;
  const look = new Look(store, "chosen", {}, wanted);
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
    for (const place of wanted.keys()) look.seen.add(place); // Nobody need wait any longer.
  };
  const client = await WebSocketClient.open(`${service.origin}${store.path}/live`, {
    headers: { authorization: `Bearer ${service.token}` },
    protocols: ["millrace.v1"],
    onText: (text) => {
      try {
        const message = members(binaryOf(text));
        const type = parsed(message.get("type") as Binary);
        store.round.checks.that(
          "readable",
          type !== "error",
          () => `subscribing to ${JSON.stringify(filter)}: ${text}`,
        );
        if (type !== "records") return;
        for (const record of items(message.get("records") as Binary)) look.take(seenIn(record));
      } catch (error) {
        fail(error);
      }
    },
    onClose: (code, reason) => fail(new Error(`the socket was closed with ${code}: ${reason}`)),
  });
  try {
    client.send(JSON.stringify({ type: "subscribe", id: 1, from: "earliest", credits: 10_000, filter }));
    await look.whole();
    if (failure !== undefined) throw failure;
  } finally {
    client.cut();
  }
}
