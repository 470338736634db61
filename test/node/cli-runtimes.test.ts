/** What the command line does where it is not the Node that it is built with. */
import { afterEach, expect, test, vi } from "vitest";
import { dev } from "../../src/cli/dev.ts";
import { Usage } from "../../src/cli/output.ts";
import { Sockets } from "../../src/cli/sockets.ts";

afterEach(() => vi.unstubAllGlobals());

test("sockets are waited for until they are closed: some runtimes send what was said on them only then", async () => {
  const opened: EventTarget[] = [];
  vi.stubGlobal(
    "WebSocket",
    class extends EventTarget {
      constructor() {
        super();
        opened.push(this);
      }
    },
  );
  const sockets = new Sockets();
  const { WebSocket } = sockets.options;
  for (const url of ["ws://a", "ws://b"]) new (WebSocket as NonNullable<typeof WebSocket>)(url);
  let closed = false;
  const waiting = sockets.closed().then(() => {
    closed = true;
  });
  opened[0].dispatchEvent(new Event("close"));
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(closed).toBe(false);
  opened[1].dispatchEvent(new Event("close"));
  await waiting;
  await sockets.closed();
});

test("there are none where the runtime has none", async () => {
  vi.stubGlobal("WebSocket", undefined);
  const sockets = new Sockets();
  expect(sockets.options).toEqual({});
  await sockets.closed();
});

test.each(["Bun", "Deno"])("%s is told at once that it cannot serve", async (name) => {
  vi.stubGlobal(name, {});
  const serving = dev({ host: "127.0.0.1", port: 0, data: "/nonexistent/data" });
  await expect(serving).rejects.toThrow(Usage);
  await expect(serving).rejects.toThrow("runs on Node alone");
});
