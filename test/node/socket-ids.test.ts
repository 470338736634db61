/** Ids on a partition's socket rise, and may be named as long as the socket lives, also where the object slept meanwhile. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ok } from "../../schemas/errors.ts";
import type { Message } from "../../src/intake/message.ts";
import { type Client, clientOf, Keeping, understand } from "../../src/objects/clients.ts";
import { Pool } from "../../src/objects/owed.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const hello = { rights: ["read"] as const, binary: false, pinned: true, from: 0, to: 2 ** 32 };

/** A socket of an object that falls asleep when nothing runs any more. */
class Sleeper {
  readonly #pool = new Pool();
  #client = clientOf({ hello, subs: [] }, this.#pool);
  #keeping = new Keeping();
  #attachment: unknown;
  kept = 0;
  readonly socket = {
    send: () => {},
    serializeAttachment: (value: unknown) => {
      this.kept++;
      this.#attachment = structuredClone(value);
    },
  } as unknown as WebSocket;

  constructor() {
    this.#client.keep(this.socket);
  }

  /** Why the socket is to be closed, if it is. */
  take(message: Message): string | undefined {
    const fault = understand(
      this.#client,
      ok(message),
      (order) => this.#obey(order, this.#client),
      () => {},
    );
    this.#keeping.later(this.socket, this.#client);
    return fault?.detail;
  }

  /** As the object does it. */
  #obey(message: Message, client: Client): undefined {
    if (message.type === "append") return;
    if (message.type === "subscribe") {
      client.add({ id: message.id, credits: message.credits, next: 0, said: 0, current: false });
    } else if (message.type === "unsubscribe") client.subs.delete(message.id);
    client.keep(this.socket);
  }

  sleep(): void {
    vi.runAllTimers();
    this.#client = clientOf(this.#attachment as Parameters<typeof clientOf>[0], this.#pool);
    this.#keeping = new Keeping();
  }
}

const subscribe = (id: number): Message => ({ type: "subscribe", id, from: "latest", credits: 1 });
const append = (id: number): Message => ({ type: "append", id, terms: undefined, records: [] });

test.each([
  ["a subscription that ended", [subscribe(5), { type: "unsubscribe", id: 5 } as const]],
  ["an append", [append(5)]],
  ["an append behind a subscription", [subscribe(3), append(4), append(5)]],
])("after a sleep the id of %s is known, and is not used again", (_, messages) => {
  const sleeper = new Sleeper();
  for (const message of messages) expect(sleeper.take(message)).toBeUndefined();
  sleeper.sleep();
  expect(sleeper.take({ type: "credit", id: 5, credits: 1 })).toBeUndefined();
  expect(sleeper.take({ type: "unsubscribe", id: 5 })).toBeUndefined();
  expect(sleeper.take(subscribe(5))).toContain("id 5 is not above 5");
  expect(sleeper.take({ type: "credit", id: 6, credits: 1 })).toContain("no subscription 6");
});

test("appends, allowed or not, are not written down one by one", () => {
  const sleeper = new Sleeper();
  for (let id = 0; id < 1_000; id++) sleeper.take(append(id));
  expect(sleeper.kept).toBe(1);
  sleeper.sleep();
  expect(sleeper.kept).toBe(2);
});
