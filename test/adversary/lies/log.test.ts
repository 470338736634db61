/** The checks of the adversary's program on the log: each finds the lie that breaks its promise. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { attempt } from "../frame/attempt.ts";
import type { Scale } from "../frame/program.ts";
import { Service } from "../frame/service.ts";
import { Liar, type Lie } from "../log/liar.ts";
import { proofs } from "../log/lies.ts";
import { log } from "../log/program.ts";
import type { Proof } from "../log/proving.ts";

const scale: Scale = { brief: true, without: new Set(), tolerated: new Set(), lines: 40 };
let service: Service;

beforeAll(async () => {
  service = await Service.start();
});

afterAll(() => service?.stop());

async function outcome({ steps, partitions = 1, retention, stamps }: Proof, lie: Lie) {
  const liar = await Liar.start(service.origin, lie);
  try {
    const seen = { origin: liar.origin, token: service.token, died: undefined } as Service;
    const plan = {
      scripts: [
        { terms: { partitions, keyIndex: false, ...(retention && { retention }), ...(stamps && { stamps }) }, steps },
      ],
      kills: [],
    };
    const { failure } = await attempt(log, plan, seen, scale);
    return failure?.violation;
  } finally {
    liar.close();
  }
}

test.concurrent.each(Object.entries(proofs))("%s is found broken", { timeout: 100_000 }, async (name, proof) => {
  const [invariant] = name.split(",");
  expect((await outcome(proof, {}))?.message).toBeUndefined();
  const violation = await outcome(proof, proof.lie());
  expect(violation?.invariant, violation?.message).toBe(invariant);
});
