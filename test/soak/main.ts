/**
 * Clients that give nothing and take nothing: what they make the service hold, and how long others wait meanwhile. Too long for
 * every run: `npm run soak:slow`, or `node test/soak/main.ts <scene> …`.
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { call, type Service, service, token } from "../http/service.ts";

/** What workerd may come to, and how long a read of another stream may take. */
const [residentMbMax, otherMsMax] = [400, 1_000];
const recordBytes = 900_000;

const headers = { authorization: `Bearer ${token}` };

const residentMb = ({ pid }: Service) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;

/** A socket that is never read: the kernel holds what it will, and then nothing more goes. */
function deaf(millrace: Service, path: string, protocol: string): Promise<Socket> {
  const { hostname, port, host } = new URL(millrace.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {});
  const head = [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    `Authorization: Bearer ${token}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 13",
    ...(protocol === "" ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  return new Promise((resolve) =>
    socket.once("data", () => {
      socket.pause();
      resolve(socket);
    }),
  );
}

function send(socket: Socket, message: object): void {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(6);
  head[0] = 0x81;
  head[1] = 0x80 | body.length;
  socket.write(Buffer.concat([head, body]));
}

async function fill(millrace: Service, stream: string, partitions: number, count: number, type: string): Promise<void> {
  await millrace.call("PUT", stream, { partitions });
  const body = Buffer.alloc(recordBytes, 97);
  for (let index = 0; index < count; index++) {
    const answer = await millrace.call("POST", `${stream}/records?raw=true&key=k${index}`, body, {
      "content-type": type,
    });
    if (answer.status !== 201) throw new Error(answer.text);
  }
}

const stream = (name: string) => `/v1/default/streams/${name}`;

async function sockets(
  millrace: Service,
  {
    name,
    count,
    partitions,
    records,
    protocol,
    group,
  }: { name: string; count: number; partitions: number; records: number; protocol: string; group?: boolean },
): Promise<() => void> {
  await fill(millrace, stream(name), partitions, records, "text/plain");
  if (group) await millrace.call("PUT", `${stream(name)}/groups/g`, { start: "earliest", maxInFlight: 10_000 });
  const path = group ? `${stream(name)}/groups/g/live` : `${stream(name)}/live`;
  const open = await Promise.all(Array.from({ length: count }, () => deaf(millrace, path, protocol)));
  for (const socket of open) if (!group) send(socket, { type: "subscribe", id: 1, from: "earliest", credits: 10_000 });
  const giving = setInterval(() => {
    for (const socket of open)
      send(socket, group ? { type: "credit", credits: 10_000 } : { type: "credit", id: 1, credits: 10_000 });
  }, 200);
  return () => {
    clearInterval(giving);
    for (const socket of open) socket.destroy();
  };
}

type Scene = (millrace: Service) => Promise<() => void>;

const scenes: Record<string, Scene> = {
  "one socket": (m) => sockets(m, { name: "one", count: 1, partitions: 1, records: 300, protocol: "millrace.v1" }),
  "one socket, frames": (m) =>
    sockets(m, { name: "onef", count: 1, partitions: 1, records: 300, protocol: "millrace.v1.binary" }),
  "one socket, 4 partitions": (m) =>
    sockets(m, { name: "one4", count: 1, partitions: 4, records: 300, protocol: "millrace.v1" }),
  "one group socket": (m) =>
    sockets(m, { name: "oneg", count: 1, partitions: 1, records: 300, protocol: "", group: true }),
  "one group socket, 4 partitions": (m) =>
    sockets(m, { name: "oneg4", count: 1, partitions: 4, records: 300, protocol: "", group: true }),
  "500 sockets": (m) => sockets(m, { name: "many", count: 500, partitions: 1, records: 60, protocol: "millrace.v1" }),
  "500 sockets, 4 partitions": (m) =>
    sockets(m, { name: "many4", count: 500, partitions: 4, records: 60, protocol: "millrace.v1" }),
  "500 group sockets, 4 partitions": (m) =>
    sockets(m, { name: "manyg4", count: 500, partitions: 4, records: 60, protocol: "", group: true }),
  "60 stalled bodies": async (millrace) => {
    await millrace.call("PUT", stream("bodies"), {});
    const { hostname, port, host } = new URL(millrace.url);
    const open = Array.from({ length: 60 }, () => {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on("error", () => {});
      socket.on("data", () => {});
      socket.write(
        `POST ${stream("bodies")}/records?raw=true HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/octet-stream\r\nContent-Length: 8388608\r\n\r\n`,
      );
      socket.write(Buffer.alloc(7 * 1_048_576, 97));
      return socket;
    });
    return () => {
      for (const socket of open) socket.destroy();
    };
  },
  "64 bodies that unpack a thousandfold": async (millrace) => {
    await millrace.call("PUT", stream("bombs"), {});
    const body = gzipSync(Buffer.alloc(256 * 1_048_576));
    let on = true;
    const statuses = new Map<number, number>();
    const sender = async () => {
      while (on) {
        const type = { "content-type": "application/x-ndjson", "content-encoding": "gzip" };
        const sent = { method: "POST", headers: { ...headers, ...type }, body };
        const answer = await fetch(`${millrace.url}${stream("bombs")}/records`, sent).catch(() => undefined);
        await answer?.arrayBuffer().catch(() => {});
        statuses.set(answer?.status ?? 0, (statuses.get(answer?.status ?? 0) ?? 0) + 1);
      }
    };
    for (let index = 0; index < 64; index++) void sender();
    return () => {
      on = false;
      console.log("   bombs:", [...statuses]);
    };
  },
  "60 readers of binary pages": async (millrace) => {
    await fill(millrace, stream("pages"), 1, 40, "application/octet-stream");
    let on = true;
    const statuses = new Map<number, number>();
    const reader = async () => {
      while (on) {
        const answer = await fetch(`${millrace.url}${stream("pages")}/records?maxBytes=8388608`, { headers }).catch(
          () => undefined,
        );
        await answer?.arrayBuffer().catch(() => {});
        const status = answer?.status ?? 0;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status !== 200) await pause(1_000);
      }
    };
    for (let index = 0; index < 60; index++) void reader();
    return () => {
      on = false;
      console.log("   pages:", [...statuses]);
    };
  },
  "60 readers that never read": async (millrace) => {
    await fill(millrace, stream("unread"), 1, 40, "application/octet-stream");
    const { hostname, port, host } = new URL(millrace.url);
    const open = Array.from({ length: 60 }, () => {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on("error", () => {});
      socket.pause();
      socket.write(
        `GET ${stream("unread")}/records?maxBytes=8388608 HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n\r\n`,
      );
      return socket;
    });
    return () => {
      for (const socket of open) socket.destroy();
    };
  },
};

async function run(name: string, scene: Scene, seconds: number): Promise<boolean> {
  const millrace = await service();
  try {
    await millrace.call("PUT", stream("other"), {});
    await millrace.call("POST", `${stream("other")}/records`, { records: [{ data: 1 }] });
    const end = await scene(millrace);
    const before = residentMb(millrace);
    let [highest, slowest] = [0, 0];
    for (const until = Date.now() + seconds * 1_000; Date.now() < until; await pause(100)) {
      highest = Math.max(highest, residentMb(millrace));
      const since = performance.now();
      await call(millrace.url, "GET", `${stream("other")}/records`);
      slowest = Math.max(slowest, performance.now() - since);
    }
    end();
    const good = highest < residentMbMax && slowest < otherMsMax;
    console.log(
      `${good ? "ok " : "BAD"} ${name}: ${before.toFixed(0)} → ${highest.toFixed(0)} MiB, another's read ${slowest.toFixed(0)} ms at most`,
    );
    return good;
  } finally {
    await millrace.end();
  }
}

const [, , secondsText = "20", ...wanted] = process.argv;
const usage = `npm run soak:slow -- [seconds] [scene …]

So many seconds of each scene; 20, and all of them, where it is left out. The scenes are ${Object.keys(scenes).join(", ")}.`;
if (secondsText === "--help" || secondsText === "-h") {
  console.log(usage);
  process.exit(0);
}
if (!(Number(secondsText) > 0) || !wanted.every((name) => name in scenes)) {
  console.error(usage);
  process.exit(2);
}
let good = true;
for (const [name, scene] of Object.entries(scenes)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  good = (await run(name, scene, Number(secondsText))) && good;
}
process.exit(good ? 0 : 1);
