/** The guide's recipe: a receiver that writes the delivery's id and the effect in one transaction has each effect once, in order. */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { call, token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-once-"));
const stream = "/v1/default/streams/transfers";
const records = 300;
let running: Running | undefined;

afterAll(async () => {
  await running?.stop("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

test("over kills of the service, and answers that are lost", async () => {
  const db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE seen (id TEXT PRIMARY KEY); CREATE TABLE effect (at INTEGER PRIMARY KEY, amount INTEGER)");
  let requests = 0;
  const receiver = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      db.exec("BEGIN");
      const { changes } = db
        .prepare("INSERT OR IGNORE INTO seen VALUES (?)")
        .run(String(request.headers["webhook-id"]));
      if (changes === 1) db.prepare("INSERT INTO effect (amount) VALUES (?)").run(Number(Buffer.concat(parts)));
      db.exec("COMMIT");
      // Every seventh answer is lost: the effect is there, and the sender does not know.
      if (++requests % 7 === 0) request.socket.destroy();
      else response.writeHead(204).end();
    });
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  const { port } = receiver.address() as AddressInfo;
  running = await run({ data, token, privateNetwork: true });
  await call(running.url, "PUT", stream);
  await call(running.url, "PUT", `${stream}/groups/bank`, {
    order: "partition",
    maxInFlight: 1,
    onFailure: "block",
    backoff: [5],
    ackTimeoutMs: 500,
    push: { url: `http://127.0.0.1:${port}/`, timeoutMs: 500 },
  });
  const writing = write();
  for (let round = 0; round < 3; round++) {
    await pause(400);
    await running.stop("SIGKILL");
    running = await run({ data, token, privateNetwork: true });
  }
  await writing;
  const amounts = () =>
    db
      .prepare("SELECT amount FROM effect ORDER BY at")
      .all()
      .map(({ amount }) => amount);
  await expect.poll(() => amounts().length, { timeout: 60_000 }).toBe(records);
  expect(amounts()).toEqual(Array.from({ length: records }, (_, index) => index));
  expect(requests).toBeGreaterThan(records);
  receiver.close();
  db.close();
});

/** An idempotent producer that goes on until every record is acknowledged. */
async function write(): Promise<void> {
  for (let sequence = 0; sequence < records; sequence++) {
    for (;;) {
      const headers = { "producer-id": "p", "producer-epoch": "0", "producer-seq": String(sequence) };
      const body = { records: [{ key: `k${sequence % 5}`, data: sequence }] };
      const answer = await call(running!.url, "POST", `${stream}/records?partition=0`, body, headers).catch(
        () => undefined,
      );
      if (answer?.status === 200 || answer?.status === 201) break;
      await pause(20);
    }
  }
}
