/** The service under the adversary's hands: however kills fall together, one of it is up when they are over. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attempt } from "./frame/attempt.ts";
import type { Program } from "./frame/program.ts";
import type { Round } from "./frame/round.ts";
import { endAll, Service } from "./frame/service.ts";
import { onAbort, sleep } from "./frame/time.ts";

let service: Service;

beforeAll(async () => {
  service = await Service.start();
});
afterAll(async () => {
  await service.stop();
  endAll();
});

const healthy = async () => (await fetch(`${service.origin}/healthz`)).status;

describe("kills", () => {
  test.each([
    ["in one moment", 0],
    ["while what ended starts again", 300],
  ] as const)("%s are survived", async (_, afterMs) => {
    // Which of two that start at once gets the data is chance.
    for (let i = 0; i < 3; i++) {
      const first = service.kill("kill");
      await sleep(afterMs);
      const second = service.kill("kill");
      await first;
      expect(await healthy()).toBe(200);
      await second;
      await service.settled();
      expect(service.died).toBeUndefined();
      expect(await healthy()).toBe(200);
    }
  });

  test("a polite end amid a kill too", async () => {
    await Promise.all([service.kill("kill"), service.kill("term"), service.kill("kill")]);
    expect(service.died).toBeUndefined();
    expect(await healthy()).toBe(200);
  });
});

describe("a round that does not end", () => {
  const scale = { brief: true, without: new Set<string>(), tolerated: new Set<string>(), lines: 10 };
  const program = (run: (round: Round) => Promise<void>): Program => ({
    name: "waiting",
    summary: "waits for what never comes",
    invariants: {},
    features: {},
    plan: () => ({}),
    run: (_, round) => run(round),
    smaller: () => [],
    size: () => "nothing",
  });

  test.each([
    ["ended when it was stopped", (round: Round) => sleep(60_000, round.stopped)],
    ["goes on though it was stopped", () => new Promise<void>(() => {})],
    ["then: Error: given up", (round: Round) => sleep(60_000, round.stopped).then(() => Promise.reject("given up"))],
  ])("is a failure that says where it stood: %s", async (words, wait) => {
    const waiting = program(async (round) => {
      round.history.note(["s1"], () => "step 7: wait");
      await wait(round).catch((why) => {
        throw new Error(why);
      });
    });
    const { failure } = await attempt(waiting, {}, service, scale, 300);
    expect(failure?.violation.invariant).toBe("over");
    expect(failure?.violation.words).toContain(words);
    expect(failure?.history.join()).toContain("step 7: wait");
  });
});

describe("what is told to stop", () => {
  test("stops, whether it was told before or after", () => {
    const told: string[] = [];
    const before = AbortSignal.abort();
    const later = new AbortController();
    const never = new AbortController();
    onAbort(before, () => told.push("before"));
    onAbort(later.signal, () => told.push("later"));
    onAbort(never.signal, () => told.push("never"))();
    later.abort();
    never.abort();
    expect(told).toEqual(["before", "later"]);
  });
});
