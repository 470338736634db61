/** What a forwarder is to refuse: a state that another one has, a stream that is not there, a token that is none. */
import { join } from "node:path";
import { commandMs, start } from "../frame/cli.ts";
import { words } from "./forwarder.ts";
import type { Probe } from "./plan.ts";
import type { Watch } from "./watch.ts";

export async function probe(watch: Watch, what: Probe): Promise<void> {
  const { forwarder, round, plan } = watch;
  if (what === "second" && (plan.options.once || !forwarder.isRunning || forwarder.said === "")) return;
  const state = what === "second" ? forwarder.state : join(forwarder.folder, "another-state");
  const stream = what === "no-stream" ? "none" : "s";
  const { life } = forwarder;
  round.operations++;
  const running = start(
    round.service,
    round.name,
    ["forward", stream, join(forwarder.folder, "none.log"), "--state", state],
    {
      timeoutMs: round.patient(commandMs),
      ...(what === "token" && { token: "not-a-token" }),
    },
  );
  const ended = await running.ended;
  if (round.restarting || round.stopped.aborted) return;
  if (what === "second" && (forwarder.life !== life || !forwarder.isRunning)) return;
  const { code, err } = ended;
  const promise = what === "second" ? "state" : "exit";
  const wanted = { second: 2, "no-stream": 1, token: 4 }[what];
  const isOne = err.trim() !== "" && err.trim().split("\n").length === 1;
  watch.that(promise, code === wanted && isOne, () => `${what}: a forwarder ends with ${words(ended)}`);
}
