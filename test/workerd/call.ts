/** The whole Worker, asked from inside workerd. */
import { exports } from "cloudflare:workers";

export const call = async (method: string, path: string, body?: object) => {
  const response = await (exports as unknown as { default: Fetcher }).default.fetch(`http://millrace${path}`, {
    method,
    headers: { authorization: "Bearer test-token", "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const isJson = response.headers.get("content-type")?.includes("json");
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service answers.
  return { status: response.status, json: (text === "" || !isJson ? undefined : JSON.parse(text)) as any };
};
