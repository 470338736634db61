/**
 * Pages of other origins may ask: nobody is known by a cookie here, so that a page can do no more than the token or ticket
 * that it was given.
 */
import type { Env } from "../objects/stubs.ts";
import { app } from "./app.ts";
import { hostProblem } from "./host.ts";
import { problem } from "./problem.ts";
import { mayLeaveMuch, readToEnd } from "./unread.ts";

const daySeconds = "86400";

const ofPreflight = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
  // The star is for the attributes of a CloudEvent, which any sender may add to; it is no word for authorization.
  "access-control-allow-headers":
    "*, authorization, content-type, content-encoding, accept, last-event-id, if-none-match, if-match, if-range, range, millrace-repeat, producer-id, producer-epoch, producer-seq",
  "access-control-max-age": daySeconds,
};
const exposed =
  "millrace-bytes, millrace-cursor, millrace-ended, millrace-from, millrace-head, millrace-next, millrace-origin, millrace-tail, millrace-up-to-date, millrace-snapshot, link, etag, content-range, retry-after, allow";

/** The Worker's entry. A request without an origin, which is none of a browser's, pays nothing. */
export function serve(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> {
  const refusal = hostProblem(request);
  if (refusal !== undefined) return problem(refusal);
  if (!request.headers.has("origin")) return answer(request, env, ctx);
  if (request.method === "OPTIONS" && request.headers.has("access-control-request-method")) {
    return new Response(null, { status: 204, headers: ofPreflight });
  }
  return answerPage(request, env, ctx);
}

function answer(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> {
  const answer = app.fetch(request, env, ctx);
  return mayLeaveMuch(request) ? readToEnd(request, answer) : answer;
}

async function answerPage(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  const response = await answer(request, env, ctx);
  // A socket has no such rules.
  if (response.webSocket !== null) return response;
  response.headers.set("access-control-allow-origin", "*");
  response.headers.set("access-control-expose-headers", exposed);
  return response;
}
