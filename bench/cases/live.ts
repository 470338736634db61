/** Sockets of a stream: appends on one, records to many, and many that wait. */
import { setTimeout as pause } from "node:timers/promises";
import { Millrace } from "../../src/client/index.ts";
import { compare, figure, type Result } from "../compare.ts";
import { check, type Measured, quantile } from "../load.ts";
import { payloadData } from "../payloads.ts";
import type { Service } from "../service.ts";
import { Socket, textFrame } from "../socket.ts";
import { Connection } from "../wire.ts";
import type { Bench, Case } from "./case.ts";
import { residentMb } from "./memory.ts";

/** Messages that are written together, and that may wait for their answers. */
const [chunk, window] = [250, 4_000];
const idPattern = Buffer.from('"id":');
const appendsPerSecond = 100;
const creditsMax = 10_000;
/** An object that nobody asks anything hibernates after ten seconds. */
const hibernateMs = 11_000;

export const liveCases: readonly Case[] = [
  { names: ["append.ws"], run: (bench) => appendWs(bench, "append.ws", 50) },
  { names: ["append.ws.single"], run: (bench) => appendWs(bench, "append.ws.single", 1) },
  { names: ["follow.latency"], run: latency },
  { names: ["follow.fanout", "follow.fanout.dropped"], run: fanout },
  { names: ["sdk.producer"], run: producer },
  { names: ["sdk.follow"], run: follow },
  { names: ["follow.idle", "follow.idle.growth"], run: idle },
];

/**
 * Appends of single records of 100 bytes, pipelined on one socket, so many in a message; and the same to a bare object, which
 * reads their ids only.
 */
async function appendWs({ product, baseline, settings }: Bench, name: string, perMessage: number): Promise<Result[]> {
  const stream = await product.stream(name);
  const ours = await product.live(stream);
  const theirs = await Socket.open(baseline.port, `/socket/${name}`, {});
  try {
    const sides = [ours, theirs].map((socket) => {
      const ids = { next: 1_000_000_000 };
      return (ms: number) => pipelined(socket, ids, perMessage, ms);
    });
    return [await compare(name, ["records/s", 1], [sides[0], sides[1]], settings)];
  } finally {
    ours.close();
    theirs.close();
  }
}

async function pipelined(socket: Socket, ids: { next: number }, perMessage: number, ms: number): Promise<Measured> {
  const sent: number[] = [];
  const latencies: number[] = [];
  let [answered, asked] = [0, 0];
  const start = performance.now();
  const until = start + ms;
  await new Promise<void>((resolve, reject) => {
    const write = () => {
      while (asked - answered < window && performance.now() < until) {
        const frames: Buffer[] = [];
        for (let index = 0; index < chunk; index += perMessage) {
          // Ids of one length: the messages differ in nothing else.
          const append = () => `{"type":"append","id":${ids.next++},"records":[{"data":${payloadData}}]}`;
          frames.push(textFrame(Array.from({ length: perMessage }, append).join("\n")));
        }
        sent.push(performance.now());
        asked += chunk;
        socket.write(Buffer.concat(frames));
      }
      if (answered === asked) resolve();
    };
    socket.onEnd = reject;
    socket.onMessage = (message) => {
      for (let at = message.indexOf(idPattern); at >= 0; at = message.indexOf(idPattern, at + 5)) {
        if (++answered % chunk === 0) latencies.push(performance.now() - sent[answered / chunk - 1]);
      }
      write();
    };
    write();
  });
  latencies.sort((a, b) => a - b);
  const perSecond = (answered / (performance.now() - start)) * 1_000;
  return { perSecond, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) };
}

/** One record after another, from the moment its append is sent to the moment a follower has it. */
async function latency({ product, settings }: Bench): Promise<Result[]> {
  const stream = await product.stream("follow-latency");
  const latencies = await delivered(product, stream, 1, settings.longPolls, 5);
  return [{ ...figure("follow.latency", latencies.p50Ms, "ms"), ...latencies }];
}

async function fanout({ product, settings }: Bench): Promise<Result[]> {
  const stream = await product.stream("follow-fanout");
  const { dropped, ...times } = await delivered(
    product,
    stream,
    settings.followers,
    settings.followMs / (1_000 / appendsPerSecond),
    1_000 / appendsPerSecond,
  );
  return [
    { ...figure("follow.fanout", times.p99Ms, "ms (p99)"), ...times },
    figure("follow.fanout.dropped", dropped, "records"),
  ];
}

/** `count` records at a steady pace to so many followers. */
async function delivered(product: Service, stream: string, followers: number, count: number, everyMs: number) {
  const sent: number[] = [];
  const latencies: number[] = [];
  const sockets: Socket[] = [];
  const writer = await Connection.open(product.port);
  const needle = Buffer.from('"n":');
  try {
    let ready = 0;
    for (let index = 0; index < followers; index++) {
      const socket = await product.live(stream);
      sockets.push(socket);
      socket.onMessage = (message) => {
        const now = performance.now();
        if (message.includes('"type":"heartbeat"')) return void ready++;
        for (let at = message.indexOf(needle); at >= 0; at = message.indexOf(needle, at + 4)) {
          latencies.push(now - sent[Number.parseInt(message.toString("latin1", at + 4, at + 12), 10)]);
        }
      };
      socket.send({ type: "subscribe", id: 1, credits: creditsMax });
    }
    while (ready < followers) await pause(10);
    const start = performance.now();
    for (let n = 0; n < count; n++) {
      await pause(Math.max(0, start + n * everyMs - performance.now()));
      sent.push(performance.now());
      const body = `{"records":[{"data":{"n":${n},"pad":${payloadData}}}]}`;
      const post = product.post(`${stream}/records`, { type: "application/json", body: Buffer.from(body), records: 1 });
      check(await writer.ask(post), 201);
    }
    for (let wait = 0; wait < 100 && latencies.length < followers * count; wait++) await pause(20);
  } finally {
    writer.close();
    for (const socket of sockets) socket.close();
  }
  latencies.sort((a, b) => a - b);
  const dropped = followers * Math.floor(count) - latencies.length;
  return { p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99), dropped };
}

async function producer({ product, settings }: Bench): Promise<Result[]> {
  const stream = client(product).stream("sdk-producer");
  await stream.put();
  const data = JSON.parse(payloadData);
  const rates: number[] = [];
  for (let round = 0; round <= settings.rounds; round++) {
    const producer = stream.producer();
    const start = performance.now();
    for (let index = 0; index < settings.sdkRecords; index++) {
      const room = producer.push({ key: `k${index % 100}`, data });
      if (room !== undefined) await room;
    }
    await producer.close();
    // The first one warms up.
    if (round > 0) rates.push((settings.sdkRecords / (performance.now() - start)) * 1_000);
  }
  return [figure("sdk.producer", rates.sort((a, b) => a - b)[rates.length >> 1], "records/s")];
}

async function follow({ product, settings }: Bench): Promise<Result[]> {
  const stream = client(product).stream("sdk-follow");
  await stream.put();
  const producer = stream.producer();
  const data = JSON.parse(payloadData);
  for (let index = 0; index < settings.sdkRecords; index++) await producer.push({ key: `k${index % 100}`, data });
  await producer.close();
  let [count, rate] = [0, 0];
  for (let round = 0; round < 2; round++) {
    count = 0;
    const start = performance.now();
    for await (const _ of stream.follow({ from: "earliest", window: creditsMax })) {
      if (++count === settings.sdkRecords) break;
    }
    rate = (count / (performance.now() - start)) * 1_000;
  }
  return [figure("sdk.follow", rate, "records/s")];
}

const client = ({ url, token }: Service) => new Millrace({ url, token });

/** Subscriptions that nothing comes to, through as many heartbeats as an hour has: memory of workerd, and what it grew by. */
async function idle({ product, settings }: Bench): Promise<Result[]> {
  const stream = await product.stream("follow-idle");
  const sockets: Socket[] = [];
  try {
    let pongs = 0;
    // workerd has two descriptors for a socket, and 20 000 in all where nobody said otherwise: two subscriptions each.
    for (let index = 0; index < settings.idleSubscriptions / 2; index++) {
      const socket = await product.live(stream);
      sockets.push(socket);
      socket.onMessage = (message) => {
        if (message.length === 4) pongs++;
      };
      for (const id of [1, 2]) socket.send({ type: "subscribe", id, credits: 100 });
    }
    await pause(hibernateMs);
    const beat = async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        const wanted = pongs + sockets.length;
        for (const socket of sockets) socket.write(textFrame("ping"));
        while (pongs < wanted) await pause(5);
      }
    };
    await beat(Math.ceil(settings.idleBeats / 10));
    const before = residentMb(product.pid);
    await beat(settings.idleBeats);
    const after = residentMb(product.pid);
    return [figure("follow.idle", after, "MB"), figure("follow.idle.growth", after - before, "MB")];
  } finally {
    for (const socket of sockets) socket.close();
  }
}
