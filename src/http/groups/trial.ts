/** `…/test`: one event to the group's receiver, the way that a push takes, and what came back. Nothing is counted or kept. */
import { masked, veiled } from "../../../schemas/credentials.ts";
import { refuse } from "../../../schemas/errors.ts";
import { type PushTarget, testBody } from "../../../schemas/group.ts";
import { outcomeOf, targetProblem } from "../../delivery/push.ts";
import { testRequest } from "../../delivery/test-event.ts";
import { Outgoing } from "../../objects/outgoing.ts";
import type { Env } from "../../objects/stubs.ts";
import { readJson } from "../parse.ts";
import { json, problem } from "../problem.ts";
import type { Names } from "./groups.ts";
import { groupRoute } from "./route.ts";

export async function testGroup(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, testBody);
  if (!body.ok) return problem(body.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const { config, id } = target.value.group;
  const { push } = config;
  if (push === null) return problem(nobody.refusal);
  const webhookId = `${id}.test.${crypto.randomUUID()}`;
  const started = Date.now();
  const came = await tryOut(env, names, push, webhookId);
  return json({ url: masked(push).url, webhookId, durationMs: Date.now() - started, ...came });
}

const nobody = refuse("conflict", "the group pushes to nobody; give it a push target first");

/** What became of it: what a push would make of the answer, or why there is none. */
interface Came {
  readonly outcome: "done" | "gone" | "busy" | "failed";
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly answer?: string;
  readonly error?: string;
}

async function tryOut(env: Env, names: Names, push: PushTarget, webhookId: string): Promise<Came> {
  const outgoing = new Outgoing();
  const wrong = targetProblem(push.url, Boolean(env.MILLRACE_PUSH_PRIVATE)) ?? (await outgoing.refusal(push));
  if (wrong !== undefined) return { outcome: "failed", error: wrong };
  try {
    const { status, headers, answer } = await outgoing.post(push, testRequest(names, push, webhookId, Date.now()));
    const outcome = outcomeOf(status, headers.get("retry-after"), Date.now());
    const shown = Object.fromEntries([...headers].map(([name, value]) => [name, veiled(value, push)]));
    return {
      outcome: outcome.is,
      status,
      headers: shown,
      answer,
      ...(outcome.is === "failed" ? { error: outcome.reason } : {}),
    };
  } catch (error) {
    return { outcome: "failed", error: (error as Error).message };
  }
}
