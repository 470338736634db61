/** Portions of the log as messages, each made once for all clients that stand at the same place. */
import { framesOf, type Portion } from "../log/follow.ts";
import { JsonWriter } from "../log/json.ts";
import { addressTo, recordsMessage } from "../log/message.ts";
import type { Client, Subscription } from "./clients.ts";

/** A portion, and what has been made of it. */
export interface Made {
  readonly portion: Portion;
  json?: string;
  /** The message as it was sent last, and to which subscription. */
  text?: string;
  id?: number;
  frames?: Uint8Array;
}

export class Shown {
  readonly #made = new Map<string, Made>();
  readonly #writer = new JsonWriter();

  /** What lies before a subscription, from memory where another stood there with as few credits. */
  at(sub: Subscription, make: () => Portion): Made {
    const name = `${sub.next} ${sub.filter === undefined ? "" : JSON.stringify(sub.filter)}`;
    const known = this.#made.get(name);
    if (known !== undefined && known.portion.cost <= sub.credits) return known;
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
      socket.send(message);
      return message.length;
    }
    made.json ??= recordsText(this.#writer, portion, cursor(), partition);
    // Most clients have one subscription, of the same number.
    if (made.text === undefined || made.id !== id) {
      made.id = id;
      made.text = `{"type":"records","id":${id},${made.json}`;
    }
    socket.send(made.text);
    return made.json.length;
  }

  clear(): void {
    this.#made.clear();
  }
}

/** A message of records as text, from behind its id. */
export function recordsText(
  writer: JsonWriter,
  { items, cost, upToDate }: Pick<Portion, "items" | "cost" | "upToDate">,
  cursor: string,
  partition: number,
): string {
  writer.text(`"cost":${cost},"cursor":"${cursor}","upToDate":${upToDate},"records":[`);
  items.forEach((item, index) => {
    if (index > 0) writer.text(",");
    writer.record(item, partition);
  });
  writer.text("]}");
  return new TextDecoder().decode(writer.take());
}
