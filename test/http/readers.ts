/**
 * Every way of reading a stream, as one function each: from a place, what it gets, and which offsets it is told that it
 * missed. A way that goes on stops when it has come to what is wanted; one of pages is refused below the head, and goes on as
 * the refusal says.
 */
import { expect } from "vitest";
import { type From, Millrace } from "../../src/client/index.ts";
import { flags, openFrames } from "../../src/log/frame.ts";
import { decodeFrame } from "../../src/log/record.ts";
import { EventReader } from "./event-reader.ts";
import { type Answer, type Service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

export interface Lost {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  readonly why: string;
}

export interface Task {
  readonly service: Service;
  readonly stream: string;
  readonly from: From;
  readonly partition: number | undefined;
  readonly key: string | undefined;
  /** True where so much has come. */
  readonly enough: (found: Found) => boolean;
}

export class Found {
  /** `partition.offset` of records, in the order in which they came. */
  readonly places: string[] = [];
  readonly lost: Lost[] = [];

  take(records: readonly { readonly partition: number; readonly offset: number }[]): void {
    this.places.push(...records.map(({ partition, offset }) => `${partition}.${offset}`));
  }

  damaged(ranges: readonly { partition: number; from: number; to: number; reason: string }[] = []): void {
    this.lost.push(...ranges.map(({ partition, from, to, reason }) => ({ partition, from, to, why: reason })));
  }
}

export type Way = (task: Task, found: Found) => Promise<void>;

const scope = ({ partition, key }: Task) => ({
  ...(partition === undefined ? {} : { partition: String(partition) }),
  ...(key === undefined ? {} : { key }),
});
const path = ({ stream }: Task) => `/v1/default/streams/${stream}/records`;

/** Pages, each from where the one before says; `take` gives where to go on, undefined at the end. */
async function paged(
  task: Task,
  found: Found,
  query: Record<string, string>,
  accept: string,
  take: (answer: Answer, bytes: Uint8Array) => string | undefined,
): Promise<void> {
  for (let from: string | undefined = String(task.from); from !== undefined; ) {
    const search = new URLSearchParams({ ...scope(task), ...query, from });
    const response = await fetch(`${task.service.url}${path(task)}?${search}`, {
      headers: { authorization: `Bearer ${token}`, accept },
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { status, headers } = response;
    const text = new TextDecoder().decode(bytes);
    const json = /json$/.test(headers.get("content-type") ?? "") && !/ndjson/.test(headers.get("content-type") ?? "");
    const answer: Answer = { status, headers, text, json: json ? JSON.parse(text) : undefined };
    if (status === 410) {
      expect(answer.json.lost.length).toBeGreaterThan(0);
      found.lost.push(...answer.json.lost);
      from = answer.json.cursor;
      continue;
    }
    expect(status, text).toBe(200);
    from = take(answer, bytes);
  }
}

const page =
  (query: Record<string, string>): Way =>
  (task, found) =>
    paged(task, found, query, "application/json", ({ json }) => {
      found.take(json.records);
      found.damaged(json.damaged);
      return json.upToDate ? undefined : json.cursor;
    });

const lines =
  (query: Record<string, string>): Way =>
  (task, found) =>
    paged(task, found, query, "application/x-ndjson", ({ text, headers }) => {
      const lines = text.split("\n").filter((line) => line !== "");
      for (const { damaged, ...line } of lines.map((line) => JSON.parse(line))) {
        if (damaged === undefined) found.take([line]);
        else found.damaged([{ ...line, ...damaged }]);
      }
      return query.maxBytes === "all" || headers.get("millrace-up-to-date") === "true"
        ? undefined
        : (headers.get("millrace-cursor") as string);
    });

const frames =
  (query: Record<string, string>): Way =>
  (task, found) =>
    paged(task, found, query, "application/vnd.millrace.frames", ({ headers }, bytes) => {
      const opened = openFrames(bytes);
      if (!opened.ok) throw new Error(opened.refusal.detail);
      const records: { partition: number; offset: number }[] = [];
      for (const frame of opened.value) {
        if (frame.flags & flags.damaged) {
          const to = Number(new DataView(bytes.buffer, bytes.byteOffset + frame.from).getBigUint64(0, true));
          found.damaged([{ partition: task.partition ?? 0, from: frame.base, to, reason: "a frame says so" }]);
          continue;
        }
        decodeFrame(frame, (_, offset) => {
          // Frames are whole: what lies before the place is skipped.
          if (offset >= Number(headers.get("millrace-from"))) records.push({ partition: task.partition ?? 0, offset });
        });
      }
      found.take(records);
      return query.maxBytes === "all" || headers.get("millrace-up-to-date") === "true"
        ? undefined
        : (headers.get("millrace-next") as string);
    });

const events =
  (resumed: boolean): Way =>
  async (task, found) => {
    const search = new URLSearchParams({ ...scope(task), ...(resumed ? {} : { from: String(task.from) }) });
    const headers = resumed ? { "last-event-id": String(task.from) } : undefined;
    const reader = await EventReader.open(`${task.service.url}${path(task)}?${search}`, headers);
    let seen = 0;
    const enough = () => {
      for (const { event, data } of reader.events.slice(seen)) {
        if (event === "") found.take([data]);
        else if (event === "lost") found.lost.push(...data.lost);
      }
      seen = reader.events.length;
      return task.enough(found) && reader.of("heartbeat").some(({ data }) => data.upToDate);
    };
    await expect.poll(enough, { timeout: 10_000, interval: 20 }).toBe(true);
    reader.close();
  };

const socket =
  (protocol: string, pinned: boolean): Way =>
  async (task, found) => {
    const query = pinned && task.partition !== undefined ? `?partition=${task.partition}` : "";
    const url = `${task.service.url}/v1/default/streams/${task.stream}/live${query}`;
    const client = await StreamSocket.open(url, {
      headers: { authorization: `Bearer ${token}` },
      protocols: [protocol],
    });
    const { partition, key, from } = task;
    const more = {
      ...(partition === undefined ? {} : { partition }),
      ...(key === undefined ? {} : { filter: { key } }),
    };
    client.send({ type: "subscribe", id: 1, from, credits: 10_000, ...more });
    let [batches, messages] = [0, 0];
    const enough = () => {
      expect(client.of("error")).toEqual([]);
      for (const { records } of client.batches.slice(batches)) found.take(records);
      for (const message of client.messages.slice(messages))
        if (message.type === "lost") found.lost.push(...message.lost);
      [batches, messages] = [client.batches.length, client.messages.length];
      const current = client.batches.at(-1)?.upToDate || client.of("heartbeat").some(({ upToDate }) => upToDate);
      return task.enough(found) && current;
    };
    await expect.poll(enough, { timeout: 10_000, interval: 20 }).toBe(true);
    client.socket.close();
  };

const streamOf = ({ service, stream }: Task) => new Millrace({ url: service.url, token }).stream(stream);
const options = ({ from, partition, key }: Task, found: Found) => ({
  from,
  ...(partition === undefined ? {} : { partition }),
  ...(key === undefined ? {} : { filter: { key } }),
  onLost: (lost: readonly Lost[]) => found.lost.push(...lost),
});

const read: Way = async (task, found) => {
  for await (const records of streamOf(task)
    .read({ ...options(task, found), pageSize: 7 })
    .batches())
    found.take(records);
};

const follow =
  (transport: "socket" | "http"): Way =>
  async (task, found) => {
    const follower = streamOf(task).follow({ ...options(task, found), transport, window: 20 });
    for await (const records of follower.batches()) {
      found.take(records);
      if (task.enough(found)) return;
    }
  };

/** `one`: of one partition only; `cursor`: from a cursor only. */
export const ways: readonly { name: string; way: Way; only?: "one" | "cursor"; follows?: boolean }[] = [
  { name: "pages", way: page({ limit: "7" }) },
  { name: "pages that wait", way: page({ limit: "7", wait: "0.01" }) },
  { name: "everything at once", way: page({ maxBytes: "all" }) },
  { name: "pages of lines", way: lines({ limit: "7" }) },
  { name: "all lines at once", way: lines({ maxBytes: "all" }) },
  { name: "pages of frames", way: frames({ limit: "7" }), only: "one" },
  { name: "all frames at once", way: frames({ maxBytes: "all" }), only: "one" },
  { name: "events", way: events(false), follows: true },
  { name: "events that go on", way: events(true), only: "cursor", follows: true },
  { name: "a socket", way: socket("millrace.v1", false), follows: true },
  { name: "a binary socket", way: socket("millrace.v1.binary", false), follows: true },
  { name: "a socket of one partition", way: socket("millrace.v1", true), only: "one", follows: true },
  { name: "the library's read", way: read },
  { name: "the library's follow by socket", way: follow("socket"), follows: true },
  { name: "the library's follow by HTTP", way: follow("http"), follows: true },
];
