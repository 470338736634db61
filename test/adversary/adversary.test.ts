/** Every program for a few rounds of fixed seeds: what `npm run soak` does for as long as one likes. */
import { afterAll, describe, expect, test } from "vitest";
import { endAll } from "./frame/service.ts";
import { type Summary, soak } from "./frame/soak.ts";
import { programs } from "./programs.ts";

/** Shared by the programs; a round that has begun is ended. */
const minutes = 0.5;

afterAll(endAll);

const broken = ({ found }: Summary) =>
  [...found.values()].map(({ shrunk }) => {
    const { violation, history } = shrunk.failure;
    return [`${violation.invariant}: ${violation.words}`, ...history].join("\n");
  });

// What the machine does between two requests is not repeatable: what is the service's fault comes again.
describe("the adversary", { retry: 1 }, () => {
  test.each(programs.map((program) => [program.name, program] as const))("%s", async (name, program) => {
    const said: string[] = [];
    const scale = { brief: true, without: new Set<string>(), tolerated: new Set<string>(), lines: 40 };
    const [summary] = (await soak({
      programs: [program],
      seed: `test-${name}`,
      minutes: minutes / programs.length,
      rounds: 4,
      scale,
      shrinkSeconds: 0,
      say: (line) => said.push(line),
    })) as [Summary];
    expect(broken(summary), said.join("\n")).toEqual([]);
    expect(summary.untried).toBeUndefined();
    expect(summary.rounds).toBeGreaterThan(0);
    expect(summary.operations).toBeGreaterThan(20);
  });
});
