/** Whatever is wrong with the bucket, nobody who asks is told its name, where it is, or what its objects are called. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Archived, archived, until } from "./archived.ts";
import { EventReader } from "./event-reader.ts";
import { token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let service: Archived;
const stream = "/v1/default/streams/cold";
let upload: string;
let objects: readonly string[];
beforeAll(async () => {
  service = await archived();
  const config = { archive: true, retentionRecords: 12, deduplicationWindowMs: 0 };
  expect((await service.call("PUT", stream, config)).status).toBe(201);
  for (let n = 0; n < 80; n++) {
    await service.call("POST", `${stream}/records`, { records: [{ key: `k${n % 3}`, data: n }] });
  }
  await service.call("PUT", `${stream}/groups/g`, { start: "earliest" });
  await until("it is cold", async () => {
    const { hotFrom } = (await service.call("GET", `${stream}/partitions/0`)).json;
    return hotFrom > 40 ? true : undefined;
  });
  expect((await service.call("PUT", `${stream}/snapshots/5`, "state")).status).toBe(201);
  upload = (await service.call("POST", `${stream}/snapshots/6/uploads`, {})).json.upload;
  objects = (await service.bucket.list("")).blobs.map(({ key }) => key);
  expect(objects.length).toBeGreaterThan(3);
});
afterAll(() => service.end());

/** Every route that touches the bucket: path below the stream, method, body, headers. */
const parts = { parts: [{ number: 1, etag: "3.abc" }] };
const routes: [string, string, (object | string)?, Record<string, string>?][] = [
  ["GET", "/records?from=0"],
  ["GET", "/records?from=0", undefined, { accept: "application/x-ndjson" }],
  ["GET", "/records?from=0", undefined, { accept: "application/vnd.millrace.frames" }],
  ["GET", "/records?from=0&maxBytes=all"],
  ["GET", "/records?from=0&key=k1"],
  ["GET", "/records?from=30&direction=backward"],
  ["GET", "/records?from=-70"],
  ["GET", "/records?from=2001-01-01T00:00:00Z"],
  ["POST", "/groups/g/receive", { max: 5 }],
  ["POST", "/groups/g/seek", { to: "2001-01-01T00:00:00Z" }],
  ["GET", "/groups/g/status"],
  ["GET", "/partitions/0/dump?from=0"],
  ["POST", "/partitions/0/verify"],
  ["POST", "/partitions/0/repair", { mode: "isolate" }],
  ["POST", "/partitions/0/repair", { mode: "rebuild" }],
  ["GET", "/snapshots"],
  ["GET", "/snapshots/5"],
  ["GET", "/snapshots/latest"],
  ["PUT", "/snapshots/7", "more"],
  ["POST", "/snapshots/8/uploads", {}],
  ["PUT", "/snapshots/6/uploads/UPLOAD/1", "part"],
  ["POST", "/snapshots/6/uploads/UPLOAD/complete", parts],
  ["DELETE", "/snapshots/6/uploads/UPLOAD"],
  ["POST", "/erasures", { key: "k1" }],
  ["DELETE", "/snapshots/5"],
];

/** What a caller must not read. */
function hides(text: string, where: string): void {
  const { endpoint, bucket, accessKeyId } = service.store.store;
  const { host } = new URL(endpoint);
  for (const one of [host, accessKeyId, `bucket ${bucket}`, `/${bucket}/`, ...objects]) {
    expect(text.includes(one), `${where} names ${one}: ${text.slice(0, 500)}`).toBe(false);
  }
  expect(text, where).not.toMatch(/\b(S3|R2)\b|(logs|snapshots|parquet)\/[0-9a-f]{20}/);
}

async function askAll(): Promise<number[]> {
  const statuses: number[] = [];
  for (const [method, path, body, headers] of routes) {
    const answer = await service.call(method, stream + path.replace("UPLOAD", upload), body, headers);
    // A report for the operator of what was looked at names it.
    hides(
      path.endsWith("/verify") ? answer.text.replaceAll(/"object":"[^"]*"/g, "") : answer.text,
      `${method} ${path}`,
    );
    hides(JSON.stringify([...answer.headers]), `the headers of ${method} ${path}`);
    expect(answer.status, `${method} ${path}: ${answer.text}`).not.toBe(500);
    statuses.push(answer.status);
  }
  const headers = { authorization: `Bearer ${token}` };
  const socket = await StreamSocket.open(`${service.url}${stream}/live`, { headers });
  socket.send({ type: "subscribe", id: 1, from: 0, credits: 100 });
  socket.send({ type: "subscribe", id: 2, from: "2001-01-01T00:00:00Z", credits: 100 });
  const events = await EventReader.open(`${service.url}${stream}/records?from=0`);
  const heard = () => events.events.length + socket.messages.length + socket.batches.length;
  await until("something is said of it", async () => (heard() > 2 ? true : undefined), 5_000).catch(() => {});
  hides(JSON.stringify([socket.messages, socket.closed ?? ""]), "a socket");
  hides(JSON.stringify(events.events), "events");
  socket.socket.close();
  events.close();
  return statuses;
}

test("objects that are gone, and a bucket that cannot be reached", async () => {
  await service.bucket.delete(objects);
  const gone = await askAll();
  expect(gone.filter((status) => status >= 400).length).toBeGreaterThan(2);
  await service.store.end();
  const away = await askAll();
  expect(away.filter((status) => status === 503).length).toBeGreaterThan(5);
});
