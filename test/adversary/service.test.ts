/** The service under the adversary's hands: however kills fall together, one of it is up when they are over. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endAll, Service } from "./frame/service.ts";
import { sleep } from "./frame/time.ts";

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
