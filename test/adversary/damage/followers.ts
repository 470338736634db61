/** Readers who stay: events, and sockets of texts or of frames. They leave when they are up to date. */

import { eventsOf } from "../frame/events.ts";
import { recordsIn } from "../frame/packed.ts";
import { Later, onAbort, sleep } from "../frame/time.ts";
import { WebSocketClient } from "../frame/web-socket.ts";
import { elements, members } from "../log/json-text.ts";
import { fromFrame, readRecord } from "../log/read.ts";
import { queryOf, type Reading, type Seen } from "./readers.ts";

const followMs = 30_000;

export async function follow(reading: Reading, seen: Seen): Promise<void> {
  const leaving = new AbortController();
  const stop = () => leaving.abort();
  const unwatch = onAbort(reading.round.stopped, stop);
  const bound = setTimeout(stop, reading.round.patient(followMs));
  reading.round.operations++;
  try {
    await (reading.reader.way === "events" ? events(reading, seen, leaving) : socket(reading, seen, leaving));
  } finally {
    clearTimeout(bound);
    unwatch();
    leaving.abort();
  }
}

async function events(reading: Reading, seen: Seen, leaving: AbortController): Promise<void> {
  const { round, stream, from } = reading;
  const path = `/v1/${round.name}${stream.path}/records?${queryOf(reading, [["from", from]])}`;
  const headers = { accept: "text/event-stream" };
  const answer = await round.http.open("GET", path, { headers, signal: leaving.signal });
  round.checks.that("served", answer.statusCode === 200, () => `events were answered ${answer.statusCode}`, [
    stream.name,
  ]);
  try {
    for await (const { type, data } of eventsOf(answer)) {
      if (type === "") seen.records.push(readRecord(data, true));
      if (type === "lost") seen.tell(JSON.parse(data).lost, null);
      round.checks.that("served", type !== "problem", () => `events were ended with ${data}`, [stream.name]);
      if (type !== "heartbeat" || !JSON.parse(data).upToDate) continue;
      seen.ended = true;
      break;
    }
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
  }
}

async function socket(reading: Reading, seen: Seen, leaving: AbortController): Promise<void> {
  const { round, stream, reader } = reading;
  const over = new Later();
  const guarded = (act: () => void) => {
    try {
      act();
    } catch (error) {
      over.reject(error as Error);
    }
  };
  const where = reader.partition === null ? "" : `?partition=${reader.partition}`;
  const packed = reader.way === "packed";
  let owed = 0;
  const client = await WebSocketClient.open(`${round.service.origin}/v1/${round.name}${stream.path}/live${where}`, {
    protocols: [packed ? "millrace.v1.binary" : "millrace.v1"],
    headers: { Authorization: `Bearer ${round.service.token}` },
    onText: (text) => guarded(() => text.split("\n").forEach(take)),
    onBinary: (bytes) =>
      guarded(() => {
        const { records, partition, cost, upToDate } = recordsIn(bytes);
        seen.records.push(...records.map((record) => fromFrame(record, partition)));
        taken(cost, upToDate);
      }),
    onClose: (code, reason) => over.reject(new Error(`the socket was closed with ${code} ${reason}`)),
  });
  function taken(cost: number, upToDate: boolean): void {
    owed += cost;
    if (upToDate) {
      seen.ended = true;
      over.resolve();
      return;
    }
    if (owed * 4 < reader.window) return;
    client.send(JSON.stringify({ type: "credit", id: 1, credits: owed }));
    owed = 0;
  }
  function take(line: string): void {
    const message = JSON.parse(line);
    if (message.type === "records") {
      const records = elements(members(line).get("records") as string);
      seen.records.push(...records.map((record) => readRecord(record, false)));
      taken(message.cost, message.upToDate);
    }
    if (message.type === "lost") seen.tell(message.lost, reader.partition);
    if (message.type === "heartbeat" && message.upToDate) taken(0, true);
    round.checks.that("served", message.type !== "error", () => `a socket was told ${line}`, [stream.name]);
  }
  const filter = Object.fromEntries(
    reading.filter.map(([name, value]) => (name === "key" ? [name, value] : ["types", [value]])),
  );
  const numeric = /^\d+$/.test(reading.from) ? Number(reading.from) : reading.from;
  const more = {
    ...(reading.filter.length > 0 && { filter }),
    ...(reader.partition !== null && { partition: reader.partition }),
  };
  client.send(JSON.stringify({ type: "subscribe", id: 1, from: numeric, credits: reader.window, ...more }));
  onAbort(leaving.signal, over.resolve);
  try {
    await over.promise;
    await sleep(0);
  } finally {
    client.cut();
  }
}
