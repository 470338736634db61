/** Ways out of what has failed: dead letters with their tries, redriven ones, the stream of them, lanes. */
import type { Json } from "../frame/http.ts";
import { eventually, sleep } from "../frame/time.ts";
import { dataBytes, datas } from "./data.ts";
import type { Kept, Store } from "./feed.ts";
import { words } from "./feed.ts";
import { Look } from "./look.ts";
import type { Elsewhere } from "./plan.ts";
import { items, members, parsed } from "./raw-json.ts";
import { type Seen, seenIn, wantedBytes } from "./seen.ts";
import { below, type Delivery, drained, putGroup, receive, stillMs } from "./taking.ts";
import { type Binary, bytesOf, plain, type Value } from "./values.ts";

const boundMs = 20_000;

/** Whom a letter has to name, and why. */
interface Told {
  readonly member: string;
  readonly reason: string;
}

/** Everything dies once, by odd members and for odd reasons; then it is read, told elsewhere, and goes out again. */
export async function letters(store: Store, elsewhere: readonly Elsewhere[]): Promise<void> {
  await store.round.must("PUT", below({ ...store, path: `/v1/${store.round.name}/streams/dead` }, ""), {
    body: { partitions: 2 },
  });
  const definition = {
    order: "none",
    maxInFlight: 10_000,
    onFailure: "skip",
    maxDeliveries: 1,
    deadLetterStream: "dead",
  };
  await putGroup(store, "letters", definition);
  const told = await allDie(store, elsewhere);
  await listed(store, told);
  await sentOn(store, told);
  const wanted = await redriven(store);
  await drained(store, "letters", new Look(store, "redrive", { madeUp: new Set(["datacontenttype"]) }, wanted));
}

/** What is used as a name and a reason, where it is taken at all. */
const oddTexts = (elsewhere: readonly Elsewhere[], place: string, bytesMax: number): string[] =>
  elsewhere
    .filter((one) => one.place === place)
    .map(({ value }) => plain(value) ?? "")
    .filter((text) => text !== "" && text.isWellFormed() && Buffer.byteLength(text) <= bytesMax);

async function allDie(store: Store, elsewhere: readonly Elsewhere[]): Promise<Map<string, Told>> {
  const told = new Map<string, Told>();
  const names = [...oddTexts(elsewhere, "member", 128), "last"];
  const reasons = [...oddTexts(elsewhere, "reason", 1024), "last"];
  for (let i = 0; ; i++) {
    const member = names[i % names.length] as string;
    const reason = reasons[i % reasons.length] as string;
    const deliveries = await receive(store, "letters", { max: i < names.length ? 5 : 200, member });
    if (deliveries.length === 0) break;
    for (const one of deliveries) told.set(placeOf(one), { member, reason });
    const body = { receipts: deliveries.map(({ receipt }) => receipt), reason };
    await store.round.must("POST", below(store, "/groups/letters/nack"), { body });
  }
  return told;
}

const placeOf = ({ json }: Delivery): string => seenIn(json).place;

async function listed(store: Store, told: ReadonlyMap<string, Told>): Promise<void> {
  const look = new Look(store, "letters");
  for (let after = ""; ; ) {
    const path = below(store, `/groups/letters/dead-letters?limit=150${after}`);
    const answer = await store.round.ask("GET", path);
    store.round.checks.that("readable", answer.status === 200, () => `${path}: ${answer.body}`);
    const page = members(answer.body.toString("latin1"));
    for (const json of items(page.get("letters") as Binary)) {
      const seen = seenIn(json);
      look.take(seen);
      rightlyTold(store, seen, told.get(seen.place));
    }
    if (!page.has("after")) break;
    after = `&after=${parsed(page.get("after") as Binary)}`;
  }
  look.complete();
}

function rightlyTold(store: Store, { place, others }: Seen, told: Told | undefined): void {
  const [first] = parsed(others.get("tries") as Binary) as Json[];
  const [reason, attempts] = ["reason", "attempts"].map((name) => parsed(others.get(name) ?? "null"));
  const tried = first?.member === told?.member && first?.reason === told?.reason;
  const differs = () =>
    `the letter ${place} tells ${JSON.stringify({ first, reason, attempts })}, and should tell ${JSON.stringify(told)}`;
  store.round.checks.that("told", tried && reason === told?.reason && attempts === 1, differs);
}

const ofLetters = ["stream", "group", "partition", "offset", "reason", "attempts"].map((name) => `deadletter${name}`);

/** The other stream has every letter, with attributes that say where it came from. */
async function sentOn(store: Store, told: ReadonlyMap<string, Told>): Promise<void> {
  let last: Look | undefined;
  await eventually(async () => {
    last = new Look(store, "dead-stream");
    const answer = await store.round.ask("GET", "/streams/dead/records?from=earliest&maxBytes=all");
    for (const json of items(members(answer.body.toString("latin1")).get("records") as Binary)) {
      const seen = seenIn(json);
      const record = withoutLetter(seen);
      last.take(record);
      saysFrom(store, seen, told.get(record.place));
    }
    return last.missing.length === 0;
  }, store.round.patient(boundMs));
  last?.complete();
}

/** As CloudEvents lets an attribute be: without control characters and noncharacters. */
const attribute = (text: string) =>
  Array.from(text, (char) => {
    const code = char.codePointAt(0) as number;
    const control = code < 32 || (code > 126 && code < 160);
    return control || (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe ? " " : char;
  }).join("");

function saysFrom(store: Store, { extensions }: Seen, told: Told | undefined): void {
  const wanted = { stream: "doors", group: "letters", reason: attribute(told?.reason ?? ""), attempts: 1 };
  const came = Object.keys(wanted).map((name) => parsed(extensions.get(`deadletter${name}`) ?? "null"));
  const same = JSON.stringify(came) === JSON.stringify(Object.values(wanted));
  const differs = () => `a letter that was sent on says ${JSON.stringify(came)}, and should ${JSON.stringify(wanted)}`;
  store.round.checks.that("told", same, differs);
}

function withoutLetter(seen: Seen): Seen {
  const extensions = new Map(seen.extensions);
  const number = (name: string) => Number(parsed(extensions.get(name) ?? "null"));
  const place = `${number("deadletterpartition")}.${number("deadletteroffset")}`;
  for (const name of ofLetters) extensions.delete(name);
  return { ...seen, place, extensions };
}

/** Some with other data, then all. */
async function redriven(store: Store): Promise<Map<string, Kept>> {
  const wanted = new Map(store.byPlace);
  const plainOnes = [...store.byPlace.values()].filter(
    ({ draft, made }) => made.data.kind === "json" && draft.odd.every(({ field }) => field !== "datacontenttype"),
  );
  const others = datas.filter(({ kind, wrong, times = 1 }) => kind === "json" && !wrong && times === 1);
  for (const [i, kept] of plainOnes.slice(0, others.length).entries()) {
    const data = others[i] as (typeof others)[number];
    const bytes = dataBytes(data).trim();
    const body = Buffer.from(`{"letter":"${kept.place}","data":${bytes}}`, "latin1");
    const path = `${store.path}/groups/letters/dead-letters/redrive`;
    const answer = await store.round.call("POST", path, { headers: { "content-type": "application/json" }, body });
    const refused = () =>
      `redriving ${words(kept.draft)} with ${data.name} was answered ${answer.status}: ${answer.body}`;
    store.round.checks.that("allowed", answer.status === 200, refused);
    // What the old data were called, the new ones need not be.
    const fields = new Map([...kept.made.fields].filter(([name]) => name !== "datacontenttype"));
    wanted.set(kept.place, { ...kept, made: { ...kept.made, fields, data, bytes } });
  }
  await store.round.must("POST", below(store, "/groups/letters/dead-letters/redrive"), { body: { all: true } });
  return wanted;
}

/** A record of each odd key fails, and its lane tells the key. */
export async function lanes(store: Store): Promise<void> {
  await putGroup(store, "lanes", { order: "key", maxInFlight: 10_000, onFailure: "park", maxDeliveries: 1 });
  const keys = oddKeys(store);
  const failed = new Set<Binary>();
  const end = performance.now() + store.round.patient(stillMs);
  for (;;) {
    const deliveries = await receive(store, "lanes", { max: 500 });
    if (deliveries.length === 0 && (failed.size >= keys.size || performance.now() > end)) break;
    if (deliveries.length === 0) await sleep(50, store.round.stopped);
    const odd = deliveries.filter(({ json }) => isOdd(store.byPlace.get(seenIn(json).place)));
    for (const { json } of odd) failed.add(seenIn(json).fields.get("key") as Binary);
    const receipts = (list: readonly Delivery[]) => list.map(({ receipt }) => receipt);
    const good = deliveries.filter((one) => !odd.includes(one));
    if (odd.length > 0) await settle(store, "nack", receipts(odd));
    if (good.length > 0) await settle(store, "ack", receipts(good));
  }
  const found: Json[] = [];
  for (let page: Json = { after: "0.0" }; page.after !== undefined; found.push(...page.lanes))
    page = await store.round.must("GET", below(store, `/groups/lanes/lanes?after=${page.after}`));
  const told = new Set(found.map(({ key }) => bytesOf({ name: "", text: key })));
  const lacking = [...keys].find((key) => !told.has(key));
  const differs = () =>
    `${told.size} lanes are told, ${failed.size} of ${keys.size} keys have failed; first lacking ${JSON.stringify(lacking)}`;
  store.round.checks.that("lanes-told", lacking === undefined && told.size === keys.size, differs);
  const { lanes: counted } = await store.round.must("GET", below(store, "/groups/lanes/status"));
  store.round.checks.that(
    "lanes-told",
    counted.parked === keys.size,
    () => `status counts ${counted.parked} parked lanes, not ${keys.size}`,
  );
}

const oddKeys = ({ byPlace }: Store): Set<Binary> =>
  new Set(
    [...byPlace.values()]
      .filter(isOdd)
      .map(({ made, draft }) => wantedBytes(made.fields.get("key") as Value, draft.way)),
  );

const isOdd = (kept: Kept | undefined): boolean =>
  kept?.made.fields.has("key") === true && kept.draft.odd.some(({ field }) => field === "key");

async function settle(store: Store, how: "ack" | "nack", receipts: readonly string[]): Promise<void> {
  await store.round.must("POST", below(store, `/groups/lanes/${how}`), { body: { receipts } });
}
