/** Whoever has no right token reads, writes and learns nothing; whoever has a ticket, no more than it says. */
import type { Answer } from "../frame/http.ts";
import { right, sentOf } from "./asking.ts";
import { bearing, isElsewhere, rightOf } from "./credentials.ts";
import { marker } from "./ground.ts";
import type { Right, StrangerAttack } from "./plan.ts";
import { at, nameOf, type Operation } from "./reference.ts";
import type { Siege } from "./siege.ts";
import type { Sent } from "./wire.ts";

/** What a ticket of one right may call that changes something. Nothing else is said to be more than an operator's. */
const doers: Readonly<Record<Right, RegExp>> = {
  read: /\/tickets$/,
  append: /\/(records|tickets)$/,
  consume: /\/(receive|ack|nack|release|extend|tickets)$|\/snapshots\//,
};

/** What takes the right `admin`, which no ticket has. */
const operators = /\/(dump|restore|restore\/finish)$/;

/** Whether the documents leave it to the holder of that right. */
function mayDo(holder: Right, { method, path }: Operation): boolean {
  if (operators.test(path)) return false;
  if (method === "DELETE" && path.includes("/snapshots/")) return /\/uploads\//.test(path) && holder === "consume";
  if (method !== "GET") return doers[holder].test(path);
  if (path.endsWith("/records")) return holder === "read";
  return true;
}

export async function stranger(siege: Siege, { operation: share, credential, way }: StrangerAttack): Promise<void> {
  const { ground, round, known } = siege;
  const closed = known.operations.filter(({ open }) => !open);
  const operation = at(closed, share, nameOf);
  const words = `${credential} in ${way}: ${nameOf(operation)}`;
  if (credential === "expired-ticket") await siege.wait(ground.expiredAt - performance.now());
  const asked = right(operation, ground);
  const sent = bearing(sentOf(operation, asked), credential, way, ground);
  const answer = await siege.ask(sent, { method: operation.method, operation, words });
  const holder = rightOf(credential);
  const about = [words];
  const said = () => `${words}: ${answer.status} ${answer.body.subarray(0, 500).toString()}`;
  const tells = answer.body.includes(marker);
  round.checks.that("reads-nothing", !tells || holder === "read" || holder === "consume", said, about);
  if (holder !== undefined && operation.path.includes("{stream}")) {
    const may = mayDo(holder, operation);
    round.checks.that("rights", may || answer.status === 403, said, about);
    // What it was allowed to do it may have done.
    return may && answer.status < 300 && operation.method !== "GET"
      ? await siege.changed(operation)
      : siege.refused(words);
  }
  const wanted = isElsewhere(credential) || holder !== undefined ? 403 : 401;
  round.checks.that("stranger", answer.status === wanted, said, about);
  siege.refused(words);
  await sameForNothing(siege, operation, sent, answer, words);
}

/** What is not there is refused in the same words: nobody learns what is. */
async function sameForNothing(siege: Siege, operation: Operation, sent: Sent, answer: Answer, words: string) {
  const { ground, round } = siege;
  if (!operation.path.includes("{stream}") || operation.method === "HEAD") return;
  const elsewhere = sent.path.replace(`/${ground.stream}`, "/never-there");
  const other = await siege.ask({ ...sent, path: elsewhere }, { method: operation.method, operation, words });
  const told = (one: Answer) => `${one.status} ${one.body.toString()}`;
  const said = () => `${words}: ${told(answer)} for a stream that there is, ${told(other)} for one that there is not`;
  round.checks.that("learns-nothing", told(answer) === told(other), said, [words]);
}
