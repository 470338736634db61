/** Ways out of a group by its members: receive, and the socket. */
import type { Json } from "../frame/http.ts";
import { sleep } from "../frame/time.ts";
import { WebSocketClient } from "../frame/web-socket.ts";
import type { Store } from "./feed.ts";
import { Look } from "./look.ts";
import { items, members, parsed } from "./raw-json.ts";
import { seenIn } from "./seen.ts";
import { type Binary, binaryOf } from "./values.ts";

export const stillMs = 20_000;

/** A path below the round's namespace. */
export const below = (store: Store, path: string): string => store.path.slice(`/v1/${store.round.name}`.length) + path;

export async function putGroup(store: Store, name: string, definition: Json): Promise<void> {
  await store.round.must("PUT", below(store, `/groups/${name}`), { body: { start: "earliest", ...definition } });
}

export interface Delivery {
  readonly json: Binary;
  readonly receipt: string;
}

const delivered = (deliveries: Binary): Delivery[] =>
  items(deliveries).map((json) => ({ json, receipt: parsed(members(json).get("receipt") as Binary) as string }));

export async function receive(store: Store, group: string, body: Json): Promise<Delivery[]> {
  const answer = await store.round.ask("POST", below(store, `/groups/${group}/receive`), { body });
  store.round.checks.that(
    "readable",
    answer.status === 200,
    () => `a receive was answered ${answer.status}: ${answer.body}`,
  );
  return delivered(members(answer.body.toString("latin1")).get("deliveries") as Binary);
}

/** Takes all that comes, and finishes it, until nothing is missing. */
export async function received(store: Store): Promise<void> {
  await putGroup(store, "pull", { order: "none", maxInFlight: 10_000 });
  await drained(store, "pull", new Look(store, "receive"));
}

export async function drained(store: Store, group: string, look: Look): Promise<void> {
  const end = performance.now() + store.round.patient(stillMs);
  for (let ack: string[] = []; ; ) {
    const deliveries = await receive(store, group, { max: 100, ack });
    for (const { json } of deliveries) look.take(seenIn(json), true);
    ack = deliveries.map(({ receipt }) => receipt);
    if (deliveries.length > 0) continue;
    if (look.missing.length === 0 || performance.now() > end) break;
    await sleep(50, store.round.stopped);
  }
  look.complete();
}

export async function groupSocket(store: Store): Promise<void> {
  await putGroup(store, "member", { order: "none", maxInFlight: 10_000, heartbeatMs: 120_000 });
  const look = new Look(store, "group-socket");
  const { service } = store.round;
  let failed: (error: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  failure.catch(() => {});
  const take = (text: string) => {
    const message = members(binaryOf(text));
    if (parsed(message.get("type") as Binary) !== "deliveries") return;
    const deliveries = delivered(message.get("deliveries") as Binary);
    client.send(JSON.stringify({ type: "ack", receipts: deliveries.map(({ receipt }) => receipt) }));
    client.send(JSON.stringify({ type: "credit", credits: deliveries.length }));
    for (const { json } of deliveries) look.take(seenIn(json), true);
  };
  const client = await WebSocketClient.open(`${service.origin}${store.path}/groups/member/live?member=doors`, {
    headers: { authorization: `Bearer ${service.token}` },
    onText: (text) => {
      try {
        take(text);
      } catch (error) {
        failed(error);
      }
    },
    onClose: (code, reason) => failed(new Error(`the socket was closed with ${code}: ${reason}`)),
  });
  try {
    client.send('{"type":"credit","credits":500}');
    await Promise.race([look.whole(), failure]);
  } finally {
    client.close();
  }
}
