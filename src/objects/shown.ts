/** Portions of the log as messages, each made once for all clients that stand at the same place. */
import type { Following, Portion } from "../log/follow.ts";
import { framesOf } from "../log/follow.ts";
import { JsonWriter } from "../log/json.ts";
import type { Client, Subscription } from "./clients.ts";

/** Header of a binary message of records; docs/PROTOCOL.md has the bytes. */
const headerBytes = 24;
const binaryRecords = 2;

interface Made {
  readonly portion: Portion;
  json?: string;
  frames?: Uint8Array;
}

export class Shown {
  readonly #made = new Map<string, Made>();
  #last: Made | undefined;
  readonly #writer = new JsonWriter();

  /** What lies before a subscription, from memory where another stood there with as few credits. */
  portion(sub: Subscription, make: () => Portion): Portion {
    const name = `${sub.next} ${sub.filter === undefined ? "" : JSON.stringify(sub.filter)}`;
    const known = this.#made.get(name);
    if (known !== undefined && known.portion.cost <= sub.credits) {
      this.#last = known;
      return known.portion;
    }
    this.#last = { portion: make() };
    this.#made.set(name, this.#last);
    return this.#last.portion;
  }

  /** Sends the portion that was asked for last; answers how many bytes it took. */
  send(socket: WebSocket, client: Client, id: Following["id"], portion: Portion, cursor: string, partition: number) {
    const made = this.#last as Made;
    if (client.hello.binary) {
      made.frames ??= binaryOf(portion, partition);
      const message = made.frames.slice();
      new DataView(message.buffer).setUint32(4, id, true);
      socket.send(message);
      return message.length;
    }
    made.json ??= this.#json(portion, cursor, partition);
    socket.send(`{"type":"records","id":${id},${made.json}`);
    return made.json.length;
  }

  clear(): void {
    this.#made.clear();
  }

  #json({ items, cost, upToDate }: Portion, cursor: string, partition: number): string {
    const writer = this.#writer;
    writer.text(`"cost":${cost},"cursor":"${cursor}","upToDate":${upToDate},"records":[`);
    items.forEach((item, index) => {
      if (index > 0) writer.text(",");
      writer.record(item, partition);
    });
    writer.text("]}");
    return new TextDecoder().decode(writer.take());
  }
}

function binaryOf({ items, cost, next, upToDate }: Portion, partition: number): Uint8Array {
  const frames = framesOf(items);
  const message = new Uint8Array(headerBytes + frames.reduce((sum, frame) => sum + frame.length, 0));
  const view = new DataView(message.buffer);
  message[0] = binaryRecords;
  message[1] = upToDate ? 1 : 0;
  view.setUint32(8, cost, true);
  view.setUint32(12, partition, true);
  view.setFloat64(16, next, true);
  let at = headerBytes;
  for (const frame of frames) {
    message.set(frame, at);
    at += frame.length;
  }
  return message;
}
