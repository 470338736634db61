/** A round of the hostile program: one attack after another, and a client beside them that does nothing wrong. */
import type { Round } from "../frame/round.ts";
import { Stalls } from "../frame/stalls.ts";
import { Beside } from "./beside.ts";
import { breaker } from "./breakers.ts";
import { crowd } from "./crowd.ts";
import { field } from "./fields.ts";
import { Ground } from "./ground.ts";
import { oddBody, oddHeader } from "./heads.ts";
import type { Attack, HostilePlan } from "./plan.ts";
import { reference } from "./reference.ts";
import { Siege } from "./siege.ts";
import { stranger } from "./strangers.ts";
import { lasting, socket } from "./talk.ts";

export async function runHostile(plan: HostilePlan, round: Round): Promise<void> {
  const stalls = new Stalls();
  const ground = new Ground(round);
  const beside = new Beside(round, stalls);
  try {
    const known = await reference(round);
    await ground.make();
    await beside.start();
    const siege = new Siege(round, known, ground, beside);
    const outlasting: Promise<void>[] = [];
    for (const attack of plan.attacks) {
      await siege.watch();
      if (attack.kind === "lasting") outlasting.push(ended(siege));
      else await carryOut(siege, attack);
      beside.rethrow();
    }
    await siege.watch(true);
    await Promise.all(outlasting);
    await beside.end();
  } finally {
    stalls.end();
    await ground.clear([round.name, "default"]).catch(() => {}); // The data go with the soak.
  }
}

/** Nobody may be waiting yet when it fails. */
function ended(siege: Siege): Promise<void> {
  const ending = lasting(siege);
  ending.catch(() => {});
  return ending;
}

async function carryOut(siege: Siege, attack: Exclude<Attack, { kind: "lasting" }>): Promise<void> {
  switch (attack.kind) {
    case "field":
      return field(siege, attack);
    case "stranger":
      return stranger(siege, attack);
    case "body":
      return oddBody(siege, attack);
    case "header":
      return oddHeader(siege, attack);
    case "raw":
      return breaker(siege, attack);
    case "socket":
      return socket(siege, attack);
    case "crowd":
      return crowd(siege, attack);
    case "kill":
      await siege.watch(true);
      await siege.round.kill(attack.how);
      return siege.changed(undefined);
  }
}
