/** `npm run demo` on a service that has data already. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Service, service, token } from "../http/service.ts";

const root = resolve(import.meta.dirname, "../..");
let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

async function demo(): Promise<{ code: number; said: string }> {
  const flags = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
  const options = ["--url", millrace.url, "--token", token, "--records", "700"];
  const child = spawn(process.execPath, [...flags, "scripts/demo.ts", ...options], { cwd: root, stdio: "pipe" });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const [code] = await once(child, "close");
  return { code, said };
}

test("each run makes a stream of its own, and touches no other", async () => {
  const streams = async (): Promise<string[]> =>
    (await millrace.call("GET", "/v1/default/streams")).json.streams.map(({ stream }: { stream: string }) => stream);
  // A user's, of a name that is near at hand.
  const users = "/v1/default/streams/flights-demo";
  await millrace.call("PUT", users, {});
  await millrace.call("POST", `${users}/records`, { records: [{ data: "a user's" }] });
  for (const runs of [1, 2]) {
    const { code, said } = await demo();
    expect(code, said).toBe(0);
    expect(said).toContain("Every flight is accounted for");
    const [, name] = /npx millrace streams delete (\S+)/.exec(said) ?? [];
    const all = await streams();
    expect(all).toContain(name);
    expect(all.length).toBe(1 + runs);
  }
  const { records } = (await millrace.call("GET", `${users}/records`)).json;
  expect(records.map(({ data }: { data: string }) => data)).toEqual(["a user's"]);
});
