/** What groups cost those who append, and how soon a receiver has what was appended. */
import { setTimeout as pause } from "node:timers/promises";
import { compare, figure, type Result } from "../compare.ts";
import { pushed } from "../consume.ts";
import { check, Load, quantile } from "../load.ts";
import { jsonPayload } from "../payloads.ts";
import { Receiver } from "../receiver.ts";
import { Connection } from "../wire.ts";
import type { Bench, Case } from "./case.ts";

const connections = 64;
const groups = 10;
/** By then everything is at rest again. */
const idleMs = 5;
const webhookMsMax = 5_000;
const drainMsMax = 30_000;
const [latency, overhead] = ["groups.webhook.latency", "groups.webhook.overhead"];

export const attachedCases: readonly Case[] = [
  { names: [latency, overhead], run: webhooks },
  { names: ["groups.attached"], run: (bench) => attached(bench, "groups.attached") },
  {
    names: ["groups.attached.push"],
    async run(bench) {
      const receiver = await Receiver.open();
      try {
        return await attached(bench, "groups.attached.push", receiver);
      } finally {
        receiver.close();
      }
    },
  },
];

/** From the moment an append is sent to the moment its webhook is there; beside it, an append to a stream without groups. */
async function webhooks({ product, settings }: Bench): Promise<Result[]> {
  const receiver = await Receiver.open();
  const writer = await Connection.open(product.port);
  try {
    const stream = await product.stream("webhook");
    const plain = await product.stream("webhook-none");
    let came: () => void = () => {};
    const url = receiver.target("webhook", () => came());
    await product.group(stream, "webhook", { push: { url } });
    const [post, postPlain] = [stream, plain].map((path) => product.post(`${path}/records`, jsonPayload(1)));
    const [webhookMs, plainMs]: number[][] = [[], []];
    for (let index = -1; index < settings.webhooks; index++) {
      await pause(idleMs);
      const sent = performance.now();
      const arrived = new Promise<number>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("the webhook did not come")), webhookMsMax);
        came = () => {
          clearTimeout(timer);
          resolve(performance.now() - sent);
        };
      });
      const [ms, answer] = await Promise.all([arrived, writer.ask(post)]);
      check(answer, 201);
      await pause(idleMs);
      const sentPlain = performance.now();
      check(await writer.ask(postPlain), 201);
      // The first ones open the connections.
      if (index < 0) continue;
      webhookMs.push(ms);
      plainMs.push(performance.now() - sentPlain);
    }
    for (const list of [webhookMs, plainMs]) list.sort((a, b) => a - b);
    const [p50Ms, p99Ms] = [quantile(webhookMs, 0.5), quantile(webhookMs, 0.99)];
    const baseline = quantile(plainMs, 0.5);
    const result = { ...figure(latency, p50Ms, "ms"), baseline, p50Ms, p99Ms, baselineP99Ms: quantile(plainMs, 0.99) };
    return [result, figure(overhead, p50Ms - baseline, "ms")];
  } finally {
    receiver.close();
    writer.close();
  }
}

/** Single appends to a stream with groups, against one without. Groups that push catch up before the other's turn. */
async function attached({ product, settings }: Bench, name: string, receiver?: Receiver): Promise<Result[]> {
  const payload = jsonPayload(1);
  const stream = await product.stream(name);
  let received = 0;
  for (let index = 0; index < groups; index++) {
    const url = receiver?.target(`${name}-${index}`, () => received++);
    // All records have one key: in order, they would go one by one.
    await product.group(stream, `g${index}`, url === undefined ? {} : { ...pushed(url), order: "none" });
  }
  const none = await product.stream(`${name}.none`);
  // Anew for each round: workerd closes connections on which nothing is asked for five seconds.
  const run = async (path: string, ms: number) => {
    const request = product.post(`${path}/records`, payload);
    const load = await Load.open({ port: product.port, request, status: 201 }, connections);
    try {
      return await load.run(ms);
    } finally {
      load.close();
    }
  };
  const caughtUp = async () => {
    const { records } = await product.facts(stream);
    const until = performance.now() + drainMsMax;
    while (receiver !== undefined && received < records * groups) {
      if (performance.now() > until) throw new Error(`${received} of ${records * groups} records were pushed`);
      await pause(idleMs);
    }
  };
  const ours = async (ms: number) => {
    const measured = await run(stream, ms);
    await caughtUp();
    return measured;
  };
  const roundMs = settings.roundMs * (settings.quick ? 2 : 1);
  return [await compare(name, ["records/s", 1], [ours, (ms) => run(none, ms)], { ...settings, roundMs })];
}
