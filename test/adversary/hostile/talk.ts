/** Sockets on which things are said that nobody says, in every order. */
import type { Json } from "../frame/http.ts";
import { eventually, sleep } from "../frame/time.ts";
import { Refused, WebSocketClient } from "../frame/web-socket.ts";
import { anyMessages, frames, groupMessages, streamMessages } from "./messages.ts";
import type { SocketAttack } from "./plan.ts";
import type { Siege } from "./siege.ts";

/**
 * Those of the protocol, and those of RFC 6455 for what is no message; 1006 where the connection just ended. workerd says a
 * client's own code back by itself, whatever it is: the last one is what a client here closes with.
 */
const closings = new Set([1000, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 4000, 4001, 4002, 4003, 4004, 0xffff]);

const quietMs = 150;

class Talk {
  closed: number | undefined;
  readonly said: Json[] = [];
  #heard = 0;

  constructor(
    readonly siege: Siege,
    readonly door: SocketAttack["door"],
    readonly words: string,
  ) {}

  hear(text: string): void {
    this.#heard++;
    for (const line of text.split("\n")) {
      if (line === "pong" || line === "") continue;
      try {
        this.said.push(JSON.parse(line));
      } catch {
        this.said.push({ type: "no json", line: line.slice(0, 200) });
      }
    }
  }

  /** Waits until nothing more comes. */
  async quiet(): Promise<void> {
    for (let heard = -1; heard !== this.#heard && this.closed === undefined; ) {
      heard = this.#heard;
      await sleep(quietMs, this.siege.round.stopped);
    }
  }

  judge(): void {
    const { siege, words, closed } = this;
    const { round, known } = siege;
    for (const message of this.said) {
      const said = () => `${words}: ${JSON.stringify(message).slice(0, 500)}`;
      round.checks.that("socket-words", typeof message?.type === "string" && message.type !== "no json", said, [words]);
      if (message.type !== "error") continue;
      const { code, detail, retryable, clean } = message;
      round.checks.that("never-5xx", code !== "internal", said, [words]);
      const meaning = known.codes.get(code);
      // A group's sockets say no more than the code and why.
      const short = this.door === "group" && retryable === undefined && clean === undefined;
      const same = meaning?.retryable === retryable && meaning?.clean === clean;
      const meant = meaning !== undefined && (short || same);
      round.checks.that("socket-words", meant && typeof detail === "string" && detail !== "", said, [words]);
    }
    const ending = () => `${words}: the socket was closed with ${closed}`;
    round.checks.that("closings", closed === undefined || closings.has(closed), ending, [words]);
  }
}

export async function socket(siege: Siege, attack: SocketAttack): Promise<void> {
  const { round, ground } = siege;
  const { door, right, steps } = attack;
  const words = `socket of a ${door} for ${right ?? "root"}, ${attack.partition ? "one partition, " : ""}${steps.join("; ")}`;
  const talk = new Talk(siege, door, words);
  siege.beside.amid = words;
  const client = await opened(siege, attack, talk);
  if (client === undefined) return siege.refused(words);
  const messages = { ...anyMessages, ...(door === "stream" ? streamMessages : groupMessages) };
  for (const [i, step] of steps.entries()) {
    if (!client.open) break;
    const id = i + 2;
    const bytes = frames[step]?.(id);
    const message = messages[step]?.(ground, id);
    if (bytes !== undefined) client.sendBytes(bytes);
    else if (typeof message === "string") client.send(message);
    else if (message !== undefined) client.sendTextBytes(message);
  }
  await talk.quiet();
  client.cut();
  round.history.note([words], () => `${words}: ${JSON.stringify(talk.said).slice(0, 500)}, closed ${talk.closed}`);
  talk.judge();
  const mayWrite = right === undefined || (door === "stream" ? right === "append" : right === "consume");
  if (!mayWrite) return siege.refused(words);
  // Leases go back with their socket.
  if (door === "group") await siege.ground.make();
  await siege.changed(undefined);
}

/** Undefined where it was refused. */
async function opened(siege: Siege, attack: SocketAttack, talk: Talk): Promise<WebSocketClient | undefined> {
  const { round, ground } = siege;
  const { door, right, partition, binary } = attack;
  const path = `/v1/${ground.namespace}/streams/${ground.stream}`;
  const url = `${round.service.origin}${path}${door === "stream" ? "" : "/groups/busy"}/live${partition ? "?partition=0" : ""}`;
  const ticket = right === undefined ? [] : [`millrace.ticket.${ground.ticket(right)}`];
  const spoken = binary && door === "stream" ? "millrace.v1.binary" : "millrace.v1";
  round.operations++;
  try {
    return await WebSocketClient.open(url.replace("http", "ws"), {
      ...(right === undefined && { headers: { authorization: siege.bearer } }),
      protocols: [spoken, ...ticket],
      onText: (text) => talk.hear(text),
      onBinary: () => talk.hear('{"type":"records"}'),
      onClose: (code) => {
        talk.closed = code;
      },
    });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const said = () => `${talk.words}: ${error.message}`;
    const may = right === undefined || (door === "group" ? right === "consume" : right !== "consume");
    round.checks.that("rights", error.status === 403 && !may, said, [talk.words]);
    return undefined;
  }
}

/** A ticket's socket ends with it: within so long after. */
const endMs = 6000;

/** Goes on beside other attacks, for it takes as long as a ticket lasts. */
export async function lasting(siege: Siege): Promise<void> {
  const { ground, round } = siege;
  const words = "a socket of a ticket that is over";
  const path = `/v1/${ground.namespace}/streams/${ground.other}`;
  const { ticket } = await ground.must("POST", `${path}/tickets`, { rights: ["read", "append"], expiresInSeconds: 1 });
  let closed = false;
  const client = await WebSocketClient.open(`${round.service.origin.replace("http", "ws")}${path}/live`, {
    protocols: ["millrace.v1", `millrace.ticket.${ticket}`],
    onText: () => {},
    onClose: () => {
      closed = true;
    },
  });
  const ended = await eventually(() => closed || round.stopped.aborted, round.patient(2200 + endMs));
  client.cut();
  const { restarting } = round;
  round.checks.that("ticket-ends", ended === true || restarting, () => `${words} is open ${endMs} ms later`, [words]);
}
