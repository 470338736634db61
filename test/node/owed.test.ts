/** What a client is owed: asked in time, believed when it answers, and bounded whatever it says. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { newAccount, Owed, Pool } from "../../src/objects/owed.ts";

const { unconfirmedBytesFirst: first, unconfirmedBytesMax: most, unconfirmedBytesOfAllMax: all, confirmMsMax } = limits;

/** Sends as its owner would: as long as there is room, and asking when it is time to. */
function sendAll(owed: Owed, message: number, nonce: () => string): number {
  let sent = 0;
  while (owed.room > 0) {
    owed.sent(message);
    sent += message;
    if (owed.due) owed.ask(nonce(), 0);
  }
  return sent;
}

describe("one client", () => {
  test("that never answers is sent its first window, and a message", () => {
    const owed = new Owed(newAccount(), new Pool());
    expect(sendAll(owed, 50_000, () => "n")).toBe(150_000);
    expect(owed.confirm("m")).toBe(false);
    expect(owed.room).toBeLessThanOrEqual(0);
  });

  test("that answers is sent twice as much each time, up to the most", () => {
    const owed = new Owed(newAccount(), new Pool());
    const windows: number[] = [];
    for (let round = 0; round < 7; round++) {
      windows.push(owed.account.window);
      owed.sent(1);
      owed.ask(String(round), 0);
      expect(owed.confirm(String(round))).toBe(true);
    }
    expect(windows).toEqual([first, first * 2, first * 4, first * 8, first * 16, most, most]);
  });

  test("is asked before its window is at its end", () => {
    const owed = new Owed(newAccount(), new Pool());
    owed.sent(first / 4 - 1);
    expect(owed.due).toBe(false);
    owed.sent(1);
    expect(owed.due).toBe(true);
  });

  test("is late when the time is over, and not before", () => {
    const owed = new Owed(newAccount(), new Pool());
    owed.sent(first);
    expect(owed.isLate(confirmMsMax * 2)).toBe(false);
    owed.ask("n", 1_000);
    expect(owed.isLate(1_000 + confirmMsMax - 1)).toBe(false);
    expect(owed.isLate(1_000 + confirmMsMax)).toBe(true);
    owed.confirm("n");
    expect(owed.isLate(1_000 + confirmMsMax)).toBe(false);
  });

  test("in a crowd less is held for it than its window", () => {
    const pool = new Pool();
    const owed = new Owed(newAccount(), pool);
    expect(owed.heldMax).toBe(first);
    pool.owed = all / 2;
    expect(owed.heldMax).toBeLessThan(first / 4);
  });

  test("a word is good once", () => {
    const owed = new Owed(newAccount(), new Pool());
    owed.sent(first);
    owed.ask("n", 0);
    expect([owed.confirm("n"), owed.confirm("n")]).toEqual([true, false]);
  });
});

test("whatever clients do, all together owe no more than the pool has and a message each of those that owe nothing", () => {
  const act = fc.record({
    client: fc.nat(19),
    what: fc.constantFrom("send", "send", "send", "confirm", "lie", "leave", "sleep"),
    bytes: fc.integer({ min: 1, max: 8_000_000 }),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 300 }), (acts) => {
      const pool = new Pool();
      const clients = Array.from({ length: 20 }, () => new Owed(newAccount(), pool));
      let nonces = 0;
      for (const { client, what, bytes } of acts) {
        const owed = clients[client];
        if (what === "send" && owed.room > 0) {
          expect(pool.owed).toBeLessThan(all);
          if (pool.crowded) expect(owed.account.unread).toBe(0);
          else expect(owed.account.unread).toBeLessThan(owed.account.window);
          owed.sent(bytes);
          if (owed.due) owed.ask(String(nonces++), 0);
        } else if (what === "confirm" && owed.account.asked !== undefined) owed.confirm(owed.account.asked.nonce);
        else if (what === "lie") expect(owed.confirm("lie")).toBe(false);
        else if (what === "leave") {
          owed.end();
          clients[client] = new Owed(newAccount(), pool);
        } else if (what === "sleep") {
          // As it lies in the attachment while the object sleeps.
          const kept = structuredClone(owed.account);
          owed.end();
          clients[client] = new Owed(kept, pool);
        }
        expect(pool.owed).toBe(clients.reduce((sum, { account }) => sum + account.unread, 0));
        for (const { account } of clients) expect(account.window).toBeLessThanOrEqual(most);
      }
    }),
  );
});
