/** The last requests of a push, as an operator looks at them. */
import { ok } from "../../../schemas/errors.ts";
import { attemptsQuery } from "../../../schemas/group.ts";
import { numbered } from "../../objects/attempts.ts";
import type { Attempt } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import type { Later } from "../sending.ts";
import type { Names } from "./groups.ts";
import { time } from "./letters.ts";
import { type List, listPage } from "./pages.ts";

const attempts: List<"attempts", Attempt> = {
  name: "attempts",
  query: attemptsQuery,
  async ask(one) {
    const kept = await one.attempts();
    // Those of an object of before have no numbers.
    return kept.ok ? ok(numbered(kept.value)) : kept;
  },
  numberOf: ({ number }) => number,
  show: (writer, { number: _, at, ...rest }, partition) =>
    writer.text(JSON.stringify({ partition, at: time(at), ...rest })),
};

export const listAttempts = (request: Request, env: Env, names: Names, later: Later): Promise<Response> =>
  listPage(request, env, names, later, attempts);
