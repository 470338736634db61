/** Portions of the log as messages, each made once for all clients that stand at the same place. */
import { framesOf, type Portion } from "../log/follow.ts";
import { JsonWriter } from "../log/json.ts";
import { addressTo, recordsMessage } from "../log/message.ts";
import type { Client, Subscription } from "./clients.ts";
import { transmit } from "./socket.ts";

/** A portion, and what has been made of it. */
export interface Made {
  readonly portion: Portion;
  json?: string;
  jsonBytes?: number;
  /** The message as it was sent last, and to which subscription. */
  text?: string;
  id?: number;
  frames?: Uint8Array;
}

export class Shown {
  readonly #made = new Map<string, Made>();
  readonly #writer = new JsonWriter();

  /** What lies before a subscription, from memory where another stood there with as few credits and as little room. */
  at(sub: Subscription, room: number, make: () => Portion): Made {
    const name = `${sub.next} ${sub.filter === undefined ? "" : JSON.stringify(sub.filter)}`;
    const known = this.#made.get(name);
    if (known !== undefined && fits(known.portion, sub, room)) return known;
    const made = { portion: make() };
    this.#made.set(name, made);
    return made;
  }

  /** Sends a portion to a subscription; answers how many bytes it took. */
  send(
    socket: WebSocket,
    client: Client,
    { id }: Subscription,
    made: Made,
    cursor: () => string,
    partition: number,
  ): number {
    const { portion } = made;
    if (client.hello.binary) {
      made.frames ??= recordsMessage({ ...portion, partition }, framesOf(portion.items));
      const message = made.frames.slice();
      addressTo(message, id);
      transmit(socket, message);
      return message.length;
    }
    if (made.json === undefined || made.jsonBytes === undefined) {
      const { text, bytes } = recordsText(this.#writer, portion, cursor(), partition);
      made.json = text;
      made.jsonBytes = bytes;
    }
    // Most clients have one subscription, of the same number.
    if (made.text === undefined || made.id !== id) {
      made.id = id;
      made.text = `{"type":"records","id":${id},${made.json}`;
    }
    transmit(socket, made.text, made.jsonBytes);
    return made.jsonBytes;
  }

  clear(): void {
    this.#made.clear();
  }
}

/** Credits from which a record that is alone is one that goes alone: whoever comes to it is shown it, or told of it. */
const largeCost = 64;

const fits = ({ cost, bytes, items }: Portion, { credits }: Subscription, room: number) =>
  (cost <= credits && bytes <= room) || (items.length === 1 && cost >= largeCost);

/** A message of records as text, from behind its id, and its bytes. */
export function recordsText(
  writer: JsonWriter,
  { items, cost, upToDate }: Pick<Portion, "items" | "cost" | "upToDate">,
  cursor: string,
  partition: number,
): { readonly text: string; readonly bytes: number } {
  writer.text(`"cost":${cost},"cursor":"${cursor}","upToDate":${upToDate},"records":[`);
  items.forEach((item, index) => {
    if (index > 0) writer.text(",");
    writer.record(item, partition);
  });
  writer.text("]}");
  const bytes = writer.take();
  return { text: new TextDecoder().decode(bytes), bytes: bytes.length };
}
