/** The last requests of a push, as an operator looks at them. */
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
  async ask(one, behind, room) {
    const kept = await one.attempts();
    if (!kept.ok) return kept;
    // A partition keeps so few that it says them all.
    const left = numbered(kept.value).filter(({ number }) => number > behind);
    return { ok: true, value: { attempts: left.slice(0, room.items), more: left.length > room.items } };
  },
  numberOf: ({ number }) => number,
  show: (writer, { number: _, at, ...rest }, partition) =>
    writer.text(JSON.stringify({ partition, at: time(at), ...rest })),
};

export const listAttempts = (request: Request, env: Env, names: Names, later: Later): Promise<Response> =>
  listPage(request, env, names, later, attempts);
