/** The live page, where the platform does not serve static files by itself: on bare workerd. */
import type { Env } from "../objects/stubs.ts";
import { problem } from "./problem.ts";

/** Files of the page, with their media types. */
export const pageFiles: Readonly<Record<string, string>> = {
  "/": "text/html; charset=utf-8",
  "/index.html": "text/html; charset=utf-8",
  "/page.css": "text/css; charset=utf-8",
  "/page.js": "text/javascript; charset=utf-8",
};

export async function page({ ASSETS }: Env, path: string): Promise<Response> {
  const response = await ASSETS?.fetch(`http://assets${path === "/" ? "/index.html" : path}`);
  if (response?.ok) {
    return new Response(response.body, { headers: { "content-type": pageFiles[path], "cache-control": "no-cache" } });
  }
  return problem({
    code: "unknown-route",
    detail: "the page is not part of this deployment; the reference is at /docs",
  });
}
