/** When the library's sockets say that they are there, and when they are given up for lost. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Http } from "../../src/client/http.ts";
import { Link } from "../../src/client/link.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** An open link, what it sent, and what it is told. */
async function opened() {
  const listeners = new Map<string, (event: object) => void>();
  const sent: string[] = [];
  const heard: unknown[] = [];
  const socket = {
    readyState: 1,
    send: (data: string) => sent.push(data),
    close: () => {},
    addEventListener: (type: string, listener: (event: object) => void) => listeners.set(type, listener),
  };
  const opening = Link.open({ socket: async () => socket, options: {} } as unknown as Http, "/", (message) =>
    heard.push(message),
  );
  await vi.advanceTimersByTimeAsync(0);
  listeners.get("open")?.({});
  const link = (await opening) as Link;
  const tell = (message: object) => listeners.get("message")?.({ data: JSON.stringify(message) });
  /** Pings of the next so many ms, in which it hears something every so many. */
  const pings = async (ms: number, hearsMs: number) => {
    sent.length = 0;
    for (let at = 0; at < ms; at += hearsMs) {
      await vi.advanceTimersByTimeAsync(hearsMs);
      tell({ type: "something" });
    }
    return sent.length;
  };
  return { link, tell, pings, heard };
}

test.each([
  ["1 s", 1_000, 60_000 / 1_000],
  ["20 s", 20_000, 60_000 / 20_000],
  ["5 min", 300_000, 2],
])(
  "a member says three times in a heartbeat, and once in 10 s, that it is there, whatever it hears: %s",
  async (_, heartbeatMs, beats) => {
    const { link, tell, pings } = await opened();
    tell({ type: "ready", member: "m", heartbeatMs });
    expect(Math.abs((await pings(60_000, 500)) - 3 * beats)).toBeLessThanOrEqual(3);
    link.close();
    expect(vi.getTimerCount()).toBe(0);
  },
);

test("a socket of a stream asks only after it has heard nothing for long, and ends where there is no answer", async () => {
  const { tell, pings, heard } = await opened();
  tell({ type: "ready", logId: "l" });
  expect(await pings(60_000, 500)).toBe(0);
  expect(await pings(60_000, 30_000)).toBeGreaterThan(0);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(heard.at(-1)).toMatchObject({ type: "ended", code: 1006 });
  expect(vi.getTimerCount()).toBe(0);
});
