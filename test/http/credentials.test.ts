/** What a receiver trusts is shown by no door, and is kept by whoever writes back what was read. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Group, newGroup, newStream } from "./group.ts";
import { type Call, Receiver } from "./receiver.ts";
import { call, type Service, service } from "./service.ts";

let millrace: Service;
let receiver: Receiver;
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
  // It tells everything that it was sent, and agrees to nothing.
  receiver = await Receiver.open((response, { headers, url }) => response.writeHead(500).end(echoOf(headers, url)));
});
afterAll(async () => {
  await receiver.close();
  await millrace.end();
});

const echoOf = (headers: Call["headers"], url: string) =>
  `${url} ${decodeURIComponent(url)} ${headers.authorization} ${headers["x-key"]} ${headers["webhook-signature"]}`;

const secret = `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`;
const credentials = {
  header: "Bearer RECEIVER-SECRET",
  "part of a header": "RECEIVER-SECRET",
  "other header": "0123456789abcdef",
  "part of a path": "T0K3N5678901234567890",
  "value of a query": "QU3RY-S3CRET%2F1",
  "the same decoded": "QU3RY-S3CRET/1",
  secret,
};
const target = () => ({
  url: `${receiver.url}/T0K3N5678901234567890?key=QU3RY-S3CRET%2F1&v=2`,
  headers: { Authorization: "Bearer RECEIVER-SECRET", "x-key": "0123456789abcdef" },
  secrets: [secret],
});

const hides = (text: string, where: string) => {
  for (const [name, value] of Object.entries(credentials))
    expect(text.includes(value), `${where}: ${name}`).toBe(false);
};

/** Every route below a group that is read. */
async function doors(): Promise<string[]> {
  const { json } = await millrace.call("GET", "/openapi.json");
  const all = Object.entries(json.paths as Record<string, object>).filter(([, methods]) => "get" in methods);
  const group = "/v1/{ns}/streams/{stream}/groups/{group}";
  return all.flatMap(([path]) =>
    path.startsWith(group) && !/\/(live|dump)$/.test(path) ? path.slice(group.length) : [],
  );
}

const config = async (group: Group) => (await group.get()).json.config;
/** The call that brings this record; those before it may still be tried again, as they were sent first. */
async function next(group: Group, data: string): Promise<Call> {
  const before = receiver.calls.length;
  await group.append(data);
  const brings = () => receiver.calls.slice(before).find(({ body }) => body === JSON.stringify(data));
  await expect.poll(brings, { timeout: 15_000 }).toBeDefined();
  return brings()!;
}

describe("credentials of a receiver", () => {
  test("are shown by no door, though the receiver tells them", async () => {
    const letters = await newStream(millrace);
    const failing = { maxDeliveries: 1, onFailure: "park", deadLetterStream: letters.split("/").pop() };
    const group = await newGroup(millrace, { ...failing, push: target() });
    const lanes = await newGroup(millrace, { backoff: [100_000], push: target() }, group.stream);
    await group.append("a1");
    const told = async (path: string, name: string) => (await millrace.call("GET", path)).json[name].length;
    await expect.poll(() => told(`${letters}/records`, "records"), { timeout: 15_000 }).toBe(1);
    await expect.poll(() => told(`${lanes.path}/lanes`, "lanes"), { timeout: 15_000 }).toBe(1);
    expect(receiver.calls[0].headers.authorization).toBe("Bearer RECEIVER-SECRET");
    const { ticket } = (await millrace.call("POST", `${group.stream}/tickets`, { rights: ["read"] })).json;
    const by = { authorization: `Bearer ${ticket}` };
    const paths = await doors();
    expect(paths).toContain("/attempts");
    for (const one of [group, lanes]) {
      for (const path of paths) {
        const answer = await call(millrace.url, "GET", one.path + path, undefined, by);
        expect(answer.status, path).toBe(200);
        hides(answer.text, path);
      }
      expect((await one.get("/attempts")).json.attempts[0].answer).toContain("…");
    }
    hides((await call(millrace.url, "GET", `${group.stream}/groups`, undefined, by)).text, "the list");
    hides((await millrace.call("GET", `${letters}/records`)).text, "the dead-letter stream");
    for (const order of ["pause", "resume"]) hides((await group.post(order)).text, order);
    hides((await group.put({ push: target() })).text, "PUT");
    for (const wrong of [
      { concurrency: 0 },
      { nonsense: 1 },
      { url: `${target().url} ` },
      { headers: { host: "a" } },
    ]) {
      const answer = await group.put({ push: { ...target(), ...wrong } });
      expect(answer.status).toBe(400);
      hides(answer.text, JSON.stringify(wrong));
    }
    expect(await config(group)).toMatchObject({
      push: {
        url: `${receiver.url}/…?key=…&v=2`,
        headers: { Authorization: "…", "x-key": "…" },
        secrets: [`${secret.slice(0, 10)}…`],
      },
    });
  });

  test("are kept where what was shown is sent back, as it is or changed", async () => {
    const group = await newGroup(millrace, { backoff: [10], push: target() });
    const before = (await group.get()).json;
    const { start: _, ...shown } = before.config;
    expect((await group.put(shown)).json).toEqual(before);
    const isKept = async (data: string) => {
      const { headers, url } = await next(group, data);
      expect(headers).toMatchObject({ authorization: "Bearer RECEIVER-SECRET", "x-key": "0123456789abcdef" });
      expect(headers["webhook-signature"]).toMatch(/^v1,/);
      return url;
    };
    expect(await isKept("a1")).toBe("/hook/T0K3N5678901234567890?key=QU3RY-S3CRET%2F1&v=2");
    const { push } = shown;
    expect((await group.put({ push: { ...push, timeoutMs: 9_000, url: `${receiver.url}/other` } })).status).toBe(200);
    expect(await isKept("b2")).toBe("/hook/other");
    // Names of headers have no case, and what is not named goes.
    const headers = { AUTHORIZATION: "…", "x-team": "a" };
    expect((await group.put({ push: { ...push, url: `${receiver.url}/other`, headers, secrets: [] } })).status).toBe(
      200,
    );
    const last = (await next(group, "c3")).headers;
    expect(last).toMatchObject({ authorization: "Bearer RECEIVER-SECRET", "x-team": "a" });
    expect(last).not.toHaveProperty("x-key");
    expect(last).not.toHaveProperty("webhook-signature");
  });

  test.each<[string, object]>([
    ["push.url", { url: "https://example.com/…?key=…&v=2" }],
    ["push.headers.x-other", { headers: { "x-other": "…" } }],
    ["push.secrets.1", { secrets: [`${secret.slice(0, 10)}…`, `${secret.slice(0, 10)}…`] }],
    ["push.secrets.0", { secrets: ["whsec_!!!!…"] }],
    ["push.headers.x-key", { headers: { "x-key": "abc…" } }],
  ])("%s is refused where a mask stands for nothing", async (path, wrong) => {
    const group = await newGroup(millrace, { push: target() });
    const before = await group.get();
    const shown = (before.json.config as { push: object }).push;
    const answer = await group.put({ push: { ...shown, ...wrong } });
    expect(answer, answer.text).toMatchObject({ status: 400, json: { code: "invalid", path } });
    expect((await group.get()).json).toEqual(before.json);
    const fresh = `${group.stream}/groups/fresh`;
    expect((await millrace.call("PUT", fresh, { push: { ...shown, ...wrong } })).status).toBe(400);
    expect((await millrace.call("PUT", fresh, { push: shown })).status).toBe(400);
  });
});
