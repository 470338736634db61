/**
 * Something in between (a proxy, a sign-in page) answers 200, and what it likes, from one request of a command on. Every command is run
 * against the service once, and what was asked and answered is kept; then it is answered the same, up to each request in turn.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { archived } from "./archived.ts";
import { type Service, token } from "./service.ts";
import { runVirtual } from "./virtual.ts";

/** What answers otherwise. */
const lies: readonly (readonly [type: string, body: string])[] = [
  ["application/json", "{}"],
  ["application/json", "[]"],
  ["application/json", "null"],
  ["application/json", '"x"'],
  ["text/html", "<html><body>Sign in</body></html>"],
  ["text/plain", ""],
  ["text/plain", "\n\n0\n"],
  // Cut off.
  ["application/json", '{"streams":['],
];

interface Kept {
  readonly asked: string;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}
interface Session {
  readonly tape: Kept[];
  /** What is left of the tape, up to where it is answered otherwise. */
  left: Kept[];
  /** Undefined: what is asked is passed on, and kept. */
  readonly lie?: (typeof lies)[number];
  /** Whoever waits for another answer is to go. */
  isOver?: boolean;
}

let millrace: Service;
let url: string;
const folder = mkdtempSync(join(tmpdir(), "millrace-answers-"));
let session: Session = { tape: [], left: [] };
const server = createServer(
  (request, response) => void answer(request, response).catch((error) => console.error(error)),
);

const over = JSON.stringify({ code: "unauthorized", detail: "go", retryable: false, clean: true });

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.url === "/hook") return void response.end("ok");
  const { tape, left, lie, isOver } = session;
  if (isOver) return void response.writeHead(401).end(over);
  const asked = `${request.method} ${request.url?.split("?")[0].replace(/bench-\w+|doctor-\w+/, "own")}`;
  if (lie === undefined) tape.push(await passed(request, Buffer.concat(chunks), asked));
  const at = left.findIndex((one) => one.asked === asked);
  const kept = lie === undefined ? tape.at(-1) : left.splice(at, at < 0 ? 0 : 1)[0];
  if (kept !== undefined) return void response.writeHead(kept.status, kept.headers).end(kept.body);
  const [type, body] = lie as (typeof lies)[number];
  response.writeHead(200, { "content-type": type, "content-length": body.length + (body.endsWith("[") ? 5 : 0) });
  response.write(body);
  if (body.endsWith("[")) setImmediate(() => response.destroy());
  else response.end();
}

const own = ["content-type", "etag", "date", "location", "retry-after"];
async function passed(request: IncomingMessage, body: Buffer, asked: string): Promise<Kept> {
  const { host: _, connection: __, "content-length": ___, "transfer-encoding": ____, ...headers } = request.headers;
  const given = {
    method: request.method,
    headers: headers as Record<string, string>,
    ...(body.length > 0 && { body }),
  };
  const got = await fetch(millrace.url + request.url, given as RequestInit);
  const kept = [...got.headers].filter(([name]) => own.includes(name) || name.startsWith("millrace-"));
  return { asked, status: got.status, headers: Object.fromEntries(kept), body: Buffer.from(await got.arrayBuffer()) };
}

beforeAll(async () => {
  millrace = await archived({ privateNetwork: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  remove();
  writeFileSync(path("rows.ndjson"), '{"n":1}\n{"n":2}\n');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const run = (args: readonly string[], patienceMs = 120_000) =>
  runVirtual(
    args,
    { PATH: process.env.PATH ?? "", HOME: "/nonexistent", MILLRACE_URL: url, MILLRACE_TOKEN: token },
    "",
    {
      restShare: 1 / 1_000,
      patienceMs,
      end: () => {
        session.isOver = true;
      },
    },
  );

/** What there is to run: what help lists that has words of its own behind it, or no commands. */
async function commandsOf(words: readonly string[] = []): Promise<string[]> {
  const { out } = await run([...words, "--help"]);
  const listed = /^Commands:\n([\s\S]*?)\n\n/m.exec(out)?.[1] ?? "";
  const all = [...listed.matchAll(new RegExp(`^ {2}millrace ${[...words, ""].join(" ")}([a-z-]+)( [<[])?`, "gm"))];
  const within: string[] = [];
  for (const [, name, isLast] of all)
    within.push(...(isLast ? [[...words, name].join(" ")] : await commandsOf([...words, name])));
  return all.length > 0 ? within : [words.join(" ")];
}

/** They ask no service, or start one. */
const apart = [
  ...["verify", "dev", "completion", "profile set", "profile show"],
  ...["context list", "context use", "context add", "context remove"],
];

const path = (name: string) => join(folder, name);
const base = "/v1/default/streams/s";
/** The record fails, and its key is parked. */
async function park(): Promise<void> {
  const { json } = await millrace.call("POST", `${base}/groups/g/receive`, { max: 1, waitSeconds: 5 });
  const receipts = json.deliveries.map(({ receipt }: { receipt: string }) => receipt);
  await millrace.call("POST", `${base}/groups/g/nack`, { receipts, reason: "no" });
}
const letter = async () => (await millrace.call("GET", `${base}/groups/g/dead-letters`)).json.letters.at(-1).letter;
const lane = async () => (await millrace.call("GET", `${base}/groups/g/lanes`)).json.lanes[0].lane;

type Args = readonly string[] | (() => Promise<readonly string[]>);
/** In this order, each with the exit code that it has when all is answered. */
const commands: readonly (readonly [command: string, args: Args, code?: number])[] = [
  ["streams create", ["s", "--partitions", "1"]],
  ["streams create", ["s", "--if-not-exists"]],
  ["streams update", ["s", "--retention-age", "9d"]],
  ["streams list", []],
  ["append", ["s", "1", "2", "3", "--key", "k"]],
  ["append", ["s", "--file", path("rows.ndjson"), "--key-field", "n"]],
  ["streams show", ["s"]],
  ["read", ["s"]],
  ["read", ["s", "--to", "2", "--data"]],
  ["tail", ["s"]],
  ["tail", ["s", "-f"], undefined],
  ["streams verify", ["s"]],
  ["snapshot put", ["s", "2", path("rows.ndjson")]],
  ["snapshot list", ["s"]],
  ["snapshot get", ["s", "latest", path("got")]],
  ["snapshot lease", ["s", "--holder", "h"]],
  ["snapshot delete", ["s", "2", "--yes"]],
  ["groups create", ["s", "g", "--max-deliveries", "1", "--on-failure", "park", "--start", "earliest"]],
  ["groups update", ["s", "g", "--max-in-flight", "9"]],
  ["groups show", ["s", "g"]],
  ["groups list", ["s"]],
  ["groups status", ["s", "g"]],
  ["groups lanes list", () => park().then(() => ["s", "g"])],
  ["groups lanes resume", async () => ["s", "g", await lane()]],
  ["groups lanes skip", () => park().then(async () => ["s", "g", await lane()])],
  ["groups dead-letters", ["s", "g"]],
  ["groups dead-letters", async () => ["s", "g", await letter()]],
  ["groups redrive", async () => ["s", "g", await letter()]],
  ["groups discard", () => park().then(() => ["s", "g", "--all", "--yes"])],
  ["groups consume", ["s", "g", "--max", "1"]],
  ["groups seek", ["s", "g", "latest", "--yes"]],
  ["groups pause", ["s", "g"]],
  ["groups resume", ["s", "g"]],
  ["groups only", ["s", "g", "k"]],
  ["groups create", () => Promise.resolve(["s", "p", "--push", `${url}/hook`, "--generate-secret"])],
  ["groups test", ["s", "p"]],
  ["groups attempts", ["s", "p"]],
  ["groups roll-secret", ["s", "p"]],
  ["groups delete", ["s", "p", "--yes"]],
  ["report", []],
  ["doctor", []],
  ["import", ["s", path("rows.ndjson"), "--state", path("state/import")]],
  ["forward", ["s", path("rows.ndjson"), "--state", path("state/forward"), "--once"]],
  ["dump", ["default/s", "--output", path("s.mrdp")]],
  ["restore", [path("s.mrdp"), "--stream", "s=t", "--new-id"]],
  ["bench", ["--records", "10"]],
  ["streams trim", ["s", "1", "--yes"]],
  ["streams repair", ["s", "--mode", "isolate", "--yes"]],
  ["streams erase", ["s", "--key", "k", "--yes", "--id", "e"]],
  ["streams erase", ["s", "--id", "e"]],
  ["streams delete", ["s", "--yes"]],
  ["namespaces create", ["shop"]],
  ["namespaces list", []],
  ["namespaces delete", ["shop", "--yes"]],
];

test("every command is here", async () => {
  const names = new Set([...commands.map(([name]) => name), ...apart]);
  expect([...names].toSorted()).toEqual((await commandsOf()).toSorted());
});

/** As long as it takes to say that it waits. */
const waitingMs = 4_000;
interface Told {
  readonly args: readonly string[];
  readonly tape: readonly Kept[];
  readonly out: string;
}
const told: Told[] = [];

test("all of it is done where all is answered", { timeout: 300_000 }, async () => {
  for (const [name, given, code = 0] of commands) {
    const args = [...name.split(" "), ...(typeof given === "function" ? await given() : given)];
    session = { tape: [], left: [] };
    const isEndless = args.includes("-f");
    const { code: ended, out, err } = await run(args, isEndless ? 500 : undefined);
    expect.soft({ ended, err }, args.join(" ")).toMatchObject(isEndless ? {} : { ended: code });
    told.push({ args, tape: session.tape, out });
  }
});

/** They leave something behind, by which they go on. */
const kept = new Set(["import", "dump", "snapshot"]);
const remove = () => {
  for (const one of ["state", "s.mrdp", "got"]) rmSync(path(one), { recursive: true, force: true });
  mkdirSync(path("state"));
};

const noAnswer = "millrace: (stream s(, .+)?: )?the service did not answer: .+";
const isAgain = new RegExp(`^(millrace: follows .+\n)?(${noAnswer}; trying again( until it (does|is taken))?\n)+$`);
const isLast = new RegExp(
  `^(${noAnswer}; trying again\n)?(lines 1 to 2: may have been .+\n|0 imported, up to line 0; .+\n)?${noAnswer}; is the service up.+\n$`,
);

/** By how many requests were answered before. */
function shouldBe(args: readonly string[], before: number): { code: unknown; out: unknown; err: unknown } {
  const words = args.join(" ");
  // Its output is what it finds.
  if (args[0] === "doctor")
    return { code: 1, out: expect.stringMatching(/\nwrong .*\n.* what stands between\n$/), err: "" };
  if (/^tail s -f|^forward/.test(words) ? before > 0 || args[0] === "forward" : args[1] === "consume" && before > 0)
    return { code: null, out: expect.not.stringMatching(/undefined|NaN/), err: expect.stringMatching(isAgain) };
  const isDone = /^append s --file/.test(words) && before > 0;
  return { code: 3, out: isDone ? "0 appended\n" : "", err: expect.stringMatching(isLast) };
}

/** How many requests are tried: of those that go on and on, those that come again say nothing new. */
const requestsMax = 8;
const long = process.env.MILLRACE_LONG !== undefined;

test.for(commands.map(([name, args], at) => [at, name, args] as const))(
  "%i: %s %j",
  { timeout: 300_000 },
  async ([at]) => {
    const { args, tape, out } = told[at];
    for (let before = 0; before < Math.min(tape.length, requestsMax); before++) {
      for (let nth = 0; nth < (long ? 3 : 1); nth++) {
        const lie = lies[(at + before + 3 * nth) % lies.length];
        // What is not acknowledged comes again: nobody waits for that.
        if (tape[before].asked.endsWith("/ack")) continue;
        if (args[0] !== "restore") remove();
        session = { tape: [], left: tape.slice(0, before), lie };
        const isWaiting = shouldBe(args, before).code === null;
        const ran = await run(args, isWaiting ? waitingMs : undefined);
        // Whether it is the command that asks, which does not wait for ever, or the follower in it, the request does not tell.
        const should = isWaiting && ran.code === 3 ? shouldBe([], 0) : shouldBe(args, before);
        expect.soft(ran, `${args.join(" ")}: ${tape[before].asked}: ${lie[1]}`).toEqual(should);
        // What it has kept of it is nothing that is wrong: it goes on as if that had not been.
        if (!kept.has(args[0]) || isWaiting) continue;
        session = { tape: [], left: [...tape], lie: lies[0] };
        expect.soft(await run(args), `${args.join(" ")}, after ${lie[1]}`).toMatchObject({
          code: 0,
          // What it did not hear of it says as of both.
          out: expect.stringMatching(`^${out.trim()}(; in all: 2 imported)?\n$`),
        });
      }
    }
  },
);
