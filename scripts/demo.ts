/**
 * `npm run demo`: real data through the running service. The flights of `vega-datasets`, keyed by the airport they leave
 * from, are appended in batches by an idempotent producer and read back, in full and by key; every one is accounted for.
 * Options: --url, --token, --records. Where no service answers, one is started for the while. Each run makes a stream of its
 * own, and touches no other.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Presets, SingleBar } from "cli-progress";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { text } from "../src/cli/arguments.ts";
import { developmentToken, tokenProblem } from "../src/cli/defaults.ts";
import { checkTexts, variable } from "./options.ts";
import { run } from "./workerd.ts";

interface Flight {
  date: string;
  delay: number;
  distance: number;
  origin: string;
  destination: string;
}

const file = join(import.meta.dirname, "../node_modules/vega-datasets/data/flights-20k.json");
const known = JSON.parse(readFileSync(file, "utf8")) as Flight[];

const values = await yargs(hideBin(process.argv))
  .scriptName("npm run demo --")
  .usage(
    "$0 [options]\n\nReal flights in and out again, every one accounted for, in a stream of its own,\nflights-demo-…, which stays in a service that ran before.",
  )
  .options({
    url: {
      ...text,
      default: "http://localhost:8787",
      describe: "Where the service is. Where none answers, one is started for the while.",
    },
    token: {
      ...text,
      default: variable("MILLRACE_ROOT_TOKEN") ?? developmentToken,
      defaultDescription: "MILLRACE_ROOT_TOKEN, or the development token",
      describe: "Its token.",
    },
    records: { ...text, default: String(known.length), describe: "How many flights." },
  })
  .check(({ url, token, records, ...others }) => {
    checkTexts({ url, token, records, ...others });
    if (!/^https?:\/\/./.test(url)) throw new Error(`--url must begin with http:// or https://, not '${url}'.`);
    if (!URL.canParse(url)) throw new Error(`--url is no URL: '${url}'.`);
    const problem = tokenProblem(token);
    if (problem !== undefined) throw new Error(`--token: ${problem}.`);
    if (/^\d{1,9}$/.test(records) && Number(records) > 0 && Number(records) <= known.length) return true;
    throw new Error(`--records must be a number from 1 to ${known.length}, not '${records}'.`);
  })
  .strict()
  .version(false)
  .parse();
const batchRecords = 500;
const name = `flights-demo-${randomBytes(4).toString("hex")}`;
const stream = `/v1/default/streams/${name}`;

/** What answers there, and is no Millrace, ends the demo. */
const up = async (url: string) => {
  const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
  if (answer === undefined) return false;
  const { status } = ((await answer.json().catch(() => undefined)) ?? {}) as { status?: string };
  if (status === "ok") return true;
  console.error(`Something answers on ${url} (${answer.status}), and it is no Millrace: name another with --url.`);
  process.exit(1);
};

let url = values.url.replace(/\/+$/, "");
let stop = async () => {};
let stays = true;
if (!(await up(url))) {
  const data = mkdtempSync(join(tmpdir(), "millrace-demo-"));
  const running = await run({ data, token: values.token });
  console.log(`No service on ${url}: started one on ${running.url} for this demo.`);
  url = running.url;
  stays = false;
  stop = async () => {
    await running.stop();
    rmSync(data, { recursive: true, force: true });
  };
}
let good = false;
try {
  good = await demo();
} catch (error) {
  console.error((error as Error).message);
} finally {
  await stop();
}
process.exit(good ? 0 : 1);

async function call(
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await fetch(url + path, {
    method,
    body,
    headers: { authorization: `Bearer ${values.token}`, ...headers },
  });
  const text = await response.text();
  if (response.ok) return text;
  throw new Error(`${method} ${path}: ${response.status} ${text}`);
}

async function demo(): Promise<boolean> {
  const flights = known.slice(0, Number(values.records));
  await call("PUT", stream, JSON.stringify({ partitions: 4 }));
  const appendMs = await append(flights);
  const start = performance.now();
  const all = await read("");
  const readMs = performance.now() - start;
  const airports = [...Map.groupBy(flights, ({ origin }) => origin)].sort((a, b) => b[1].length - a[1].length);
  const wrong: string[] = [];
  if (all.length !== flights.length) wrong.push(`${flights.length} were sent, and ${all.length} read`);
  const rows: Record<string, object> = {};
  for (const [origin, sent] of airports) {
    const found = await read(`key=${origin}&`);
    if (JSON.stringify(found) !== JSON.stringify(sent)) wrong.push(`${origin}: not what was sent, or not in its order`);
    if (Object.keys(rows).length < 8) rows[origin] = { sent: sent.length, read: found.length };
  }
  console.table(rows);
  const rate = (ms: number) => Math.round((flights.length / ms) * 1_000).toLocaleString("en");
  console.log(`${flights.length} flights from ${airports.length} airports over 4 partitions.`);
  console.log(`Appended at ${rate(appendMs)} a second, read back at ${rate(readMs)}.`);
  if (stays) console.log(`They stay in '${name}', until: npx millrace streams delete ${name} --url ${url}`);
  console.log(wrong.length === 0 ? "Every flight is accounted for, each airport's in order." : wrong.join("\n"));
  return wrong.length === 0;
}

async function append(flights: readonly Flight[]): Promise<number> {
  const bar = new SingleBar(
    { format: "appending {bar} {percentage}% | {value} of {total} flights" },
    Presets.shades_classic,
  );
  bar.start(flights.length, 0);
  const start = performance.now();
  for (let at = 0; at < flights.length; at += batchRecords) {
    const some = flights.slice(at, at + batchRecords);
    const lines = some.map((flight) => JSON.stringify({ key: flight.origin, type: "flight", data: flight }));
    await call("POST", `${stream}/records?verdicts=runs`, lines.join("\n"), {
      "content-type": "application/x-ndjson",
      "producer-id": "demo",
      "producer-epoch": "0",
      "producer-seq": String(at / batchRecords),
    });
    bar.update(at + some.length);
  }
  bar.stop();
  return performance.now() - start;
}

async function read(filter: string): Promise<Flight[]> {
  const lines = await call("GET", `${stream}/records?${filter}maxBytes=all`, undefined, {
    accept: "application/x-ndjson",
  });
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line).data);
}
