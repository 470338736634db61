/** What opens a socket, and what does not: the library is told the same by HTTP, and either goes on or ends with the reason. */
import { get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Millrace, type MillraceOptions } from "../../src/client/index.ts";
import { newGroup } from "./group.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
let streamPath: string;
let stream: string;
let group: string;
const tickets: Record<string, string> = {};

beforeAll(async () => {
  millrace = await service();
  const made = await newGroup(millrace);
  await made.append("a1");
  [streamPath, group, stream] = [made.stream, made.name, made.stream.split("/").pop() as string];
  const ticketFor = async (...rights: string[]) =>
    (await millrace.call("POST", `${streamPath}/tickets`, { rights })).json.ticket;
  for (const rights of ["read", "append", "consume"]) tickets[rights] = await ticketFor(rights);
  tickets.member = await ticketFor("read", "consume");
  const short = { rights: ["read", "consume"], expiresInSeconds: 1 };
  tickets.over = (await millrace.call("POST", `${streamPath}/tickets`, short)).json.ticket;
  const read = () => fetch(millrace.url + streamPath, { headers: { authorization: `Bearer ${tickets.over}` } });
  while ((await read()).ok) await pause(100);
});
afterAll(() => millrace.end());

const named = (credential: string): string => ({ ...tickets, token })[credential] ?? credential;

describe.each(["token", "ticket"] as const)("given as `%s`", (option) => {
  /** A client, and how many sockets it has tried. */
  const connect = (credential: string, given: "text" | "function" = "text") => {
    let tried = 0;
    class Counted extends WebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols);
        tried++;
      }
    }
    const secret = named(credential);
    const options: MillraceOptions = {
      url: millrace.url,
      [option]: given === "text" ? secret : () => secret,
      retry: { initialMs: 1, maxMs: 5 },
      WebSocket: Counted as never,
    };
    return { stream: new Millrace(options).stream<number>(stream), tried: () => tried };
  };
  type From = ReturnType<typeof connect>["stream"];
  const first = async (from: From) => {
    for await (const { data } of from.follow({ from: "earliest" })) return data;
  };

  test.each([
    ["token", "text"],
    ["token", "function"],
    ["member", "text"],
    ["member", "function"],
  ] as const)("%s, a %s, follows and consumes by socket", { timeout: 20_000 }, async (credential, given) => {
    const { stream, tried } = connect(credential, given);
    expect(await first(stream)).toBe("a1");
    const own = stream.group((await newGroup(millrace, {}, streamPath)).name);
    const worked: unknown[] = [];
    const consumer = own.consume(({ data }) => void worked.push(data));
    await expect.poll(() => worked).toEqual(["a1"]);
    await consumer.stop();
    expect(tried()).toBe(2);
  });

  const wrong: [string, string][] = [
    ["none-of-ours", "unauthorized"],
    ["eyJh.eyJi.Yw", "unauthorized"],
    ["over", "ticket-expired"],
  ];
  test.each<[string, string]>([...wrong, ["consume", "forbidden"], ["append", "forbidden"]])(
    "%s does not follow: %s, after one socket",
    async (credential, code) => {
      const { stream, tried } = connect(credential);
      await expect(first(stream)).rejects.toMatchObject({ code });
      expect(tried()).toBe(1);
    },
  );

  test.each<[string, string]>([...wrong, ["read", "forbidden"], ["append", "forbidden"]])(
    "%s does not consume: %s",
    async (credential, code) => {
      const { stream, tried } = connect(credential);
      await expect(stream.group(group).consume(() => {}).done).rejects.toMatchObject({ code });
      expect(tried()).toBeLessThanOrEqual(1);
    },
  );
});

describe("a request without an upgrade is told what a socket is refused for:", () => {
  /** Status of a handshake. */
  const handshake = (path: string, headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      const upgrade = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
      const key = { "sec-websocket-key": Buffer.from("0123456789abcdef").toString("base64") };
      const call = get(millrace.url + path, { headers: { ...upgrade, ...key, ...headers } });
      call.on("response", (answer) => resolve(answer.resume().statusCode));
      call.on("upgrade", (_, socket) => {
        socket.destroy();
        resolve(101);
      });
      call.on("error", reject);
    });

  const member = () => `${streamPath}/groups/${group}/live`;
  test.each<[string, () => string, string, number]>([
    ["a stream", () => `${streamPath}/live`, "token", 101],
    ["a partition", () => `${streamPath}/live?partition=0`, "read", 101],
    ["a group", member, "member", 101],
    ["no partition", () => `${streamPath}/live?partition=7`, "token", 404],
    ["no stream", () => "/v1/default/streams/nothing/live", "token", 404],
    ["no namespace", () => "/v1/nothing/streams/nothing/live", "token", 404],
    ["no group", () => `${streamPath}/groups/nothing/live`, "token", 404],
    ["a group of no stream", () => "/v1/default/streams/nothing/groups/nothing/live", "token", 404],
    ["no partition of a group", () => `${member()}?partition=7`, "token", 404],
    ["no parameter of the route", () => `${streamPath}/live?form=1`, "token", 400],
    ["no parameter of a group's", () => `${member()}?form=1`, "token", 400],
    ["no token", () => `${streamPath}/live`, "wrong", 401],
    ["a ticket that is over", member, "over", 401],
    ["no right to read", () => `${streamPath}/live`, "consume", 403],
    ["no right to consume", member, "read", 403],
  ])("%s", async (_, path, credential, status) => {
    const authorization = `Bearer ${named(credential)}`;
    expect(await handshake(path(), { authorization })).toBe(status);
    const answer = await millrace.call("GET", path(), undefined, { authorization });
    expect(answer.status, answer.text).toBe(status === 101 ? 426 : status);
  });

  // A browser can send no header: the same credential, in either of the two subprotocols.
  test.each(["token", "read", "consume", "over", "wrong"])("%s, in either subprotocol", async (credential) => {
    const secret = named(credential);
    const path = `${streamPath}/live`;
    const plain = await millrace.call("GET", path, undefined, { authorization: `Bearer ${secret}` });
    const expected = plain.status === 426 ? 101 : plain.status;
    for (const auth of [`ticket.${secret}`, `token.${Buffer.from(secret).toString("base64url")}`]) {
      const offered = { "sec-websocket-protocol": `millrace.v1, millrace.${auth}` };
      expect(await handshake(path, offered), auth).toBe(expected);
    }
  });
});
