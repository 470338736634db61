/** What is done and whose answer is lost: the command and the library ask again by themselves, and say that it was done. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Millrace } from "../../src/client/index.ts";
import { type Archived, archived } from "./archived.ts";
import { runCli } from "./cli.ts";
import { type Group, newGroup, newStream, park } from "./group.ts";
import { token } from "./service.ts";

let millrace: Archived;
/** Stands before the service. */
const door = createServer((request, response) => void pass(request, response).catch(() => response.destroy()));
let url = "";
/** Of the next order its answer is lost, when this has happened. */
let losing: (() => Promise<unknown>) | undefined;

beforeAll(async () => {
  millrace = await archived();
  await once(door.listen(0, "127.0.0.1"), "listening");
  url = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
});
afterAll(async () => {
  door.closeAllConnections();
  door.close();
  await millrace.end();
});

async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const { method = "GET", headers } = request;
  const kept = Object.entries(headers).filter(([name]) => !/^(host|connection|content-length|expect)$/.test(name));
  const body = parts.length === 0 ? null : Buffer.concat(parts);
  const answer = await fetch(millrace.url + request.url, {
    method,
    headers: kept.map(([name, value]) => [name, `${value}`]),
    body,
  });
  const text = await answer.text();
  const meanwhile = method === "GET" || request.url?.includes("dryRun") ? undefined : losing;
  if (meanwhile !== undefined) {
    losing = undefined;
    expect(answer.status, text).toBeLessThan(300);
    await meanwhile();
    response.destroy();
    return;
  }
  const passed = ["content-type", "etag"].flatMap((name) => {
    const value = answer.headers.get(name);
    return value === null ? [] : [[name, value]];
  });
  response.writeHead(answer.status, Object.fromEntries(passed)).end(text);
}

interface Ground {
  readonly stream: string;
  readonly group: Group;
  /** A lease of a snapshot. */
  readonly lease: string;
}

/** A stream with records, and a group of it: of the key `a` the first one died, and two wait behind it. */
async function ground(): Promise<Ground> {
  const path = await newStream(millrace, { archive: true });
  const group = await newGroup(millrace, park, path);
  await group.append("a1", "b1", "a2", "a3");
  const [a1, b1] = await group.receive();
  await group.nack(a1);
  await group.ack(b1);
  await millrace.call("PUT", `${path}/snapshots/2`, "state");
  const { json } = await millrace.call("POST", `${path}/snapshots/lease`, { holder: "h", offset: 3, seconds: 60 });
  return { stream: path.slice(path.lastIndexOf("/") + 1), group, lease: json.lease };
}

const nothing = async () => {};
/** Members finish what they get. */
const work = ({ group }: Ground) => group.drain();

type Words = (ground: Ground) => readonly string[];
const ofGroup =
  (before: string, after = ""): Words =>
  ({ stream, group }) =>
    `groups ${before} ${stream} ${group.name} ${after}`.trim().split(" ");
const ofStream =
  (before: string, after = ""): Words =>
  ({ stream }) =>
    `${before} ${stream} ${after}`.trim().split(" ");

/** Commands that change something; what happens before they ask again. */
const commands: Readonly<Record<string, readonly [Words, ((ground: Ground) => Promise<unknown>)?]>> = {
  skip: [ofGroup("lanes skip", "0.1")],
  "skip, and the key goes on": [ofGroup("lanes skip", "0.1"), work],
  resume: [ofGroup("lanes resume", "0.1")],
  "resume, and the key goes on": [ofGroup("lanes resume", "0.1"), work],
  redrive: [ofGroup("redrive", "0.0")],
  "redrive, and it is finished": [ofGroup("redrive", "0.0"), work],
  "redrive all": [ofGroup("redrive", "--all")],
  "redrive with data": [ofGroup("redrive", "0.0 --data 7")],
  "redrive with data, and it is finished": [ofGroup("redrive", "0.0 --data 7"), work],
  discard: [ofGroup("discard", "0.0")],
  "append with an id": [ofStream("append", "1 --id a --key a")],
  "discard all": [ofGroup("discard", "--all --yes")],
  "make a group": [({ stream }) => ["groups", "create", stream, "new"]],
  "change a group": [ofGroup("update", "--backoff 5s")],
  "delete a group": [ofGroup("rm", "--yes")],
  pause: [ofGroup("pause")],
  only: [ofGroup("only", "a")],
  seek: [ofGroup("seek", "1 --yes")],
  "make a stream": [ofStream("streams create", "--partitions 2")],
  "change a stream": [ofStream("streams update", "--partitions 2")],
  trim: [ofStream("streams trim", "1 --partition 0 --yes")],
  repair: [ofStream("streams repair", "--mode isolate --partition 0 --yes")],
  "repair, and something is lost": [ofStream("streams repair", "--mode truncate --from 1 --partition 0 --yes")],
  "delete a stream": [ofStream("streams rm", "--yes")],
  "store a snapshot": [({ stream, lease }) => ["snapshot", "put", stream, "3", "--lease", lease]],
  "delete a snapshot": [ofStream("snapshot rm", "2 --yes")],
  "make a namespace": [({ stream }) => ["namespaces", "create", `n-${stream}`]],
  "delete a namespace": [() => ["namespaces", "rm", "lost", "--yes"]],
};

async function run(words: readonly string[]) {
  return runCli(words, { MILLRACE_URL: url, MILLRACE_TOKEN: token });
}

const ours = ": the first answer to this order was lost, and it may have done that itself";
const isMaking = /^make a (group|stream)$/;

test.each(Object.entries(commands))("%s", { timeout: 60_000 }, async (name, [words, meanwhile = nothing]) => {
  const said: string[] = [];
  for (const lost of [false, true]) {
    const on = await ground();
    await millrace.call("PUT", "/v1/lost");
    if (name === "make a stream") await millrace.call("DELETE", `/v1/default/streams/${on.stream}`);
    losing = lost ? () => meanwhile(on) : undefined;
    const { code, out, err } = await run(words(on));
    // Sent again, it would find that there is one: whoever made it, nobody knows.
    if (lost && isMaking.test(name)) {
      expect({ code, err }).toEqual({ code: 3, err: expect.stringContaining("did not answer") });
      return;
    }
    expect({ code, err }, out).toEqual({ code: 0, err: "" });
    expect(losing).toBeUndefined();
    // Names, ids and times are each ground's own.
    const own = new RegExp(`${on.stream}|${on.group.name}|\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z`, "g");
    said.push(out.replace(own, "…"));
  }
  // Of all, none is left; and what has gone on has. But that may have been this command's work, which is said.
  const left =
    /^(no dead letters are left to be (delivered again|forgotten)|lane 0.1 does not stand at offset 0 any more|0.4 {2}duplicate)(.*)\n$/;
  if (said[1] === said[0]) return;
  expect(left.exec(said[1])?.[3], said[1]).toBe(ours);
});

test("what was sent again is told to a program, too; and what of all dead letters may have been done before", async () => {
  const lanes = await ground();
  losing = nothing;
  const skipped = await run([...ofGroup("lanes skip", "0.1")(lanes), "--json"]);
  expect(JSON.parse(skipped.out)).toEqual({ lane: "0.1", order: "skip", changed: false, repeated: true });
  const letters = await ground();
  losing = async () => {
    await letters.group.drain();
    await letters.group.append("c1");
    await letters.group.nack((await letters.group.receive())[0]);
  };
  const { out } = await run(ofGroup("redrive", "--all")(letters));
  expect(out).toBe("1 dead letter delivered again, and maybe others: the first answer was lost\n");
});

const groupOf = ({ stream, group }: Ground) => new Millrace({ url, token }).stream(stream).group(group.name);

test.each(["redrive", "discard"] as const)("%s by the library, of several", async (order) => {
  const on = await ground();
  await on.group.append("b2");
  await on.group.nack((await on.group.receive())[0]);
  losing = () => work(on);
  await groupOf(on)[order](["0.0", "0.4"]);
  await on.group.drain();
  expect(await on.group.letters()).toEqual([]);
  // What was not sent again is told that it is not there.
  await expect(groupOf(on)[order](["0.0", "0.4"])).rejects.toMatchObject({
    code: "letter-not-found",
    facts: { letters: ["0.0", "0.4"] },
  });
});

test.each([
  ["--generate-secret", "update", ["--generate-secret"], 2],
  ["roll-secret", "roll-secret", [], 2],
  ["roll-secret --finish", "roll-secret", ["--finish"], 1],
] as const)("%s shows the secret that is stored", async (_, command, args, count) => {
  const on = await ground();
  // Nobody is to be pushed to.
  await on.group.post("pause", {});
  const push = { url: "https://example.com/hook", secrets: [`whsec_${"a".repeat(32)}`] };
  await millrace.call("PATCH", on.group.path, { push });
  losing = nothing;
  const { code, out, err } = await run(["groups", command, on.stream, on.group.name, ...args]);
  expect({ code, err }, out).toEqual({ code: 0, err: "" });
  expect(losing).toBeUndefined();
  const { secrets } = (await millrace.call("GET", on.group.path)).json.config.push;
  expect(secrets).toHaveLength(count);
  const said = /secret {2}(whsec_.{4})/.exec(out)?.[1];
  expect(secrets.at(-1)).toBe(`${said ?? "whsec_aaaa"}…`);
});
