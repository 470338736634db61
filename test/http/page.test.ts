/** The live page in a real Chromium: what somebody sees who opens the service in a browser. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../../scripts/workerd.ts";
import { Millrace } from "../../src/client/index.ts";
import { type Service, service, token } from "./service.ts";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
// On a machine of one's own it is skipped; where everything must be tested, it fails.
const skip = executablePath === undefined && process.env.CI === undefined;
if (skip) console.warn("no Chromium is installed: the page is not tested");

describe.skipIf(skip)("the page", () => {
  let millrace: Service;
  let browser: Browser;
  let client: Millrace;
  beforeAll(async () => {
    millrace = await service();
    client = new Millrace({ url: millrace.url, token });
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });
  afterAll(async () => {
    await browser?.close();
    await millrace.end();
  });

  async function open(fragment = `#token=${token}`): Promise<{ page: Page; errors: string[] }> {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    await page.goto(`${millrace.url}/${fragment}`);
    return { page, errors };
  }
  const rows = (page: Page) => page.locator("#records tbody tr").allInnerTexts();

  test("shows a stream as it flows, newest first, and appends to it", async () => {
    const stream = client.stream("seen");
    await stream.put({ partitions: 2 });
    await stream.append({ key: "a", data: { n: 1 } });
    const { page, errors } = await open();
    // The token is gone from the address at once.
    expect(page.url()).toBe(`${millrace.url}/`);
    await page.click("text=seen");
    await expect.poll(() => rows(page)).toHaveLength(1);
    await stream.append({ key: "b", data: "<img src=x onerror=alert(1)>" });
    await expect.poll(async () => (await rows(page))[0]).toContain('"<img src=x onerror=alert(1)>"');
    await page.fill("#key", "c");
    await page.fill("#data", '{"from":"the page"}');
    await page.click("#append button");
    await expect.poll(async () => (await rows(page))[0]).toContain('{"from":"the page"}');
    await expect.poll(() => page.textContent("#answer")).toMatch(/^appended as \d\.\d+$/);
    const found: unknown[] = [];
    for await (const { data } of stream.read({ filter: { key: "c" } })) found.push(data);
    expect(found).toEqual([{ from: "the page" }]);
    expect(errors).toEqual([]);
    await page.close();
  });

  test("shows how far the groups are", async () => {
    const stream = client.stream("grouped");
    await stream.put();
    await stream.append([{ data: 1 }, { data: 2 }]);
    const group = stream.group("billing");
    await group.put();
    const { page } = await open();
    await page.click("text=grouped");
    const groups = page.locator("#groups tbody tr");
    await expect
      .poll(() => groups.allInnerTexts(), { timeout: 10_000 })
      .toEqual([expect.stringMatching(/billing\s2\s0\s0/)]);
    const { deliveries } = await group.receive({ max: 2, waitSeconds: 5 });
    await group.ack(deliveries.map(({ receipt }) => receipt));
    await expect
      .poll(() => groups.allInnerTexts(), { timeout: 10_000 })
      .toEqual([expect.stringMatching(/billing\s0\s0\s0/)]);
    await page.close();
  });

  test("makes streams, says what is wrong, and remembers the token for its tab", async () => {
    const { page } = await open("");
    expect(await page.isVisible("#main")).toBe(false);
    await page.fill("#token", "wrong");
    await page.click("#connect button");
    await expect.poll(() => page.textContent("#state")).toContain("token");
    await page.fill("#token", token);
    await page.click("#connect button");
    await page.fill("#name", "bad name");
    await page.click("#create button");
    await expect.poll(() => page.textContent("#state")).toContain("letters");
    await page.fill("#name", "made-here");
    await page.click("#create button");
    await expect.poll(() => page.textContent("#title")).toBe("made-here");
    expect((await client.stream("made-here").info()).stream).toBe("made-here");
    await page.reload();
    await expect.poll(() => page.isVisible("text=made-here")).toBe(true);
    await page.close();
  });

  test("of another origin follows by socket, by events and by long-poll, with a ticket", async () => {
    const stream = client.stream("elsewhere");
    await stream.put();
    await stream.append({ data: "seen" });
    const { ticket } = await stream.ticket(["read"]);
    // A page of its own origin, with the library as the package has it.
    const script = `
      import { Millrace } from "./client.js";
      const [url, ticket] = ${JSON.stringify([millrace.url, ticket])};
      const seen = [];
      for (const transport of ["socket", "http"]) {
        const stream = new Millrace({ url, ticket }).stream("elsewhere");
        for await (const { data } of stream.follow({ from: "earliest", transport })) {
          seen.push(data);
          break;
        }
      }
      const events = new EventSource(url + "/v1/default/streams/elsewhere/records?ticket=" + ticket);
      seen.push(await new Promise((done) => { events.onmessage = ({ data }) => done(JSON.parse(data).data); }));
      document.title = JSON.stringify(seen);`;
    const files = new Map([
      ["/", ["text/html", `<script type="module">${script}</script>`]],
      ["/client.js", ["text/javascript", await readFile(resolve(import.meta.dirname, "../../dist/client.js"), "utf8")]],
    ]);
    const shop = createServer((request, response) => {
      const [contentType, body] = files.get(request.url ?? "") ?? ["text/plain", ""];
      response.writeHead(200, { "content-type": contentType }).end(body);
    }).listen(0, "127.0.0.1");
    await once(shop, "listening");
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(shop.address() as AddressInfo).port}/`);
    await expect.poll(() => page.title(), { timeout: 15_000 }).toBe('["seen","seen","seen"]');
    await page.close();
    shop.close();
  });

  test("goes on by itself when the service was away", async () => {
    const stream = client.stream("away");
    await stream.put();
    const { page } = await open();
    await page.click("text=away");
    await stream.append({ data: "before" });
    await expect.poll(() => rows(page)).toHaveLength(1);
    await millrace.stop("SIGKILL");
    const again = await run({ data: millrace.data, token, port: Number(new URL(millrace.url).port) });
    await stream.append({ data: "after" });
    await expect.poll(async () => (await rows(page))[0], { timeout: 20_000 }).toContain("after");
    expect(await rows(page)).toHaveLength(2);
    await page.close();
    await again.stop("SIGKILL");
  });
});
