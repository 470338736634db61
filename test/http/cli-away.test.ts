/** A command that waits for the service says so; for one that was never there it does not wait. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { start } from "./cli.ts";

/** Says of a group that it is one; everything else it answers with a status. */
async function service(status: number) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    request.resume();
    asked.push(request.url ?? "");
    response.writeHead(request.url?.endsWith("/groups/g") ? 200 : status, { "content-type": "application/json" });
    response.end('{"config":{}}');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}
const consume = (url: string) => start(["groups", "consume", "s", "g"], { MILLRACE_URL: url, MILLRACE_TOKEN: "t" });

test("consume ends with 3 where the service was never there", { timeout: 60_000 }, async () => {
  const { url, close } = await service(200);
  close();
  expect(await consume(url).ended).toMatchObject({
    code: 3,
    out: "",
    err: expect.stringContaining("is the service up?"),
  });
});

test.each([
  ["that is away later", 408, "ECONNREFUSED"],
  ["that is away behind a proxy", 503, "503 Service Unavailable"],
  ["that is behind a proxy without sockets", 426, "a socket does not open"],
])("consume waits for a service %s, and says so once a minute", { timeout: 60_000 }, async (_, status, why) => {
  const { url, asked, close } = await service(status);
  const consumer = consume(url);
  try {
    if (status === 408) {
      // By then it knows what the group is.
      await expect
        .poll(() => asked.findIndex((path) => !path.endsWith("/groups/g")), { timeout: 30_000 })
        .toBeGreaterThan(0);
      expect(consumer.said.err).toBe("");
      close();
    }
    await expect.poll(() => consumer.said.err, { timeout: 30_000 }).toContain(why);
    await pause(1_000);
    expect(consumer.said.err).toMatch(/^millrace: the service did not answer: .*; trying again until it does\n$/);
    consumer.child.kill("SIGTERM");
    expect((await consumer.ended).code).toBe(0);
  } finally {
    close();
    consumer.child.kill("SIGKILL");
  }
});
