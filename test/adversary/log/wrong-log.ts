/** A step of readers who come with a place in another log. */
import type { Json } from "../frame/http.ts";
import { Later, sleep } from "../frame/time.ts";
import { queryText } from "./model.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { openSocket } from "./stream-socket.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

const socketMs = 20_000;

export async function wrongLog(run: ScriptRun, { whose }: Of<"wrong-log">): Promise<void> {
  const stream = `${run.stream}-${run.model.number()}`;
  const made = await run.steady("PUT", stream, { partitions: 1 });
  await run.steady("POST", `${stream}/records`, { records: [{ data: 1 }, { data: 2 }] });
  const { cursor } = (await run.steady("GET", `${stream}/records?limit=1`)).json;
  const asked = whose === "other" ? run.stream : stream;
  if (whose === "former") {
    await run.steady("DELETE", stream);
    const again = await run.steady("PUT", stream, { partitions: 1 });
    run.round.checks.that("wrong-log", again.json.logId !== made.json.logId, () => `${stream} has the same log again`);
  }
  const pairs = [["from", cursor]] as const;
  for (const query of [pairs, [...pairs, ["direction", "backward"]], [...pairs, ["wait", "1"]]] as const) {
    await refused(run, `${asked}/records${queryText(query)}`, {});
  }
  const accept = { accept: "text/event-stream" };
  await refused(run, `${asked}/records`, { ...accept, "last-event-id": cursor });
  if (whose === "other") await refusedBySocket(run, cursor);
}

async function refused(run: ScriptRun, path: string, headers: Record<string, string>): Promise<void> {
  const answer = await run.answered("GET", path, { headers });
  const words = () =>
    `${path} with ${JSON.stringify(headers)} was answered ${answer.status} ${answer.body.toString().slice(0, 300)}`;
  run.round.checks.that("wrong-log", answer.status === 409 && answer.json?.code === "wrong-log", words);
}

/** The subscription is refused, and nothing comes of it. */
async function refusedBySocket(run: ScriptRun, from: string): Promise<void> {
  const told = new Later<Json | undefined>();
  const onMessage = (type: string, message: Json) => {
    if (type !== "ready") told.resolve(message);
  };
  const socket = await openSocket(run, null, onMessage, () => told.resolve(undefined));
  if (socket === undefined) return;
  socket.send(JSON.stringify({ type: "subscribe", id: 1, from, credits: 10 }));
  const first = await Promise.race([told.promise, sleep(socketMs, run.round.stopped)]);
  socket.cut();
  // It was closed, or the service was killed.
  if (first === undefined || first.retryable === true) return;
  const right = first.type === "error" && first.code === "wrong-log" && first.id === 1;
  run.round.checks.that("wrong-log", right, () => `a subscription from ${from} was told ${JSON.stringify(first)}`);
}
