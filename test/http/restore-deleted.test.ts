/** A stream that is deleted, and restored under the id that it had: what deletes the old one is done with it. */
import { scheduler } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readBlocks, writeBlock } from "../../src/archive/dump.ts";
import { type Proxied, proxied, until } from "./archived.ts";
import { token } from "./service.ts";

let behind: Proxied;
let proxy: Proxied["proxy"];
let millrace: Proxied["millrace"];
beforeAll(async () => {
  behind = await proxied();
  ({ proxy, millrace } = behind);
});
afterAll(() => behind.end());

const type = { "content-type": "application/vnd.millrace.dump" };
const stream = "/v1/default/streams/again";
const dumped = async (path: string) => {
  const answer = await fetch(`${millrace.url}${stream}${path}`, { headers: { authorization: `Bearer ${token}` } });
  expect(answer.status, path).toBe(200);
  return new Uint8Array(await answer.arrayBuffer());
};

test("is refused until the old one is gone, and stays, however slow the bucket is", async () => {
  await millrace.call("PUT", stream, {});
  const append = (data: string) => millrace.call("POST", `${stream}/records`, { records: [{ key: "k", data }] });
  for (const data of ["a", "b", "c"]) await append(data);
  const read = async () => (await millrace.call("GET", `${stream}/records`)).json;
  const before = (await read()).records;
  expect(before).toHaveLength(3);
  const definition = await dumped("/dump");
  const parts = [
    await dumped("/partitions/0/dump?part=state"),
    await dumped("/partitions/0/dump"),
    writeBlock("close", new TextEncoder().encode('{"partition":0,"chunks":3,"records":3}')),
  ];
  expect(readBlocks(parts[1])).toMatchObject({ ok: true });
  const begin = () =>
    millrace.call("POST", `${stream}/restore?dump=${"a".repeat(64)}`, definition as Uint8Array<ArrayBuffer>, type);
  // A deletion that takes longer than it is until the alarm looks after it.
  proxy.always({ afterMs: 3_000 }, (request) => request.startsWith("GET") && request.includes("list-type"));
  const deleted = millrace.call("DELETE", stream);
  await scheduler.wait(500);
  expect((await begin()).json.code).toBe("conflict");
  expect((await deleted).status).toBe(204);
  const begun = await until("it is gone", async () => {
    const answer = await begin();
    if (answer.status !== 409) return answer;
    expect(answer.json.code).toBe("conflict");
    return undefined;
  });
  expect(begun.status, begun.text).toBe(201);
  for (const part of parts) {
    const sent = await millrace.call("POST", `${stream}/partitions/0/restore`, part as Uint8Array<ArrayBuffer>, type);
    expect(sent.status, sent.text).toBe(200);
  }
  expect((await millrace.call("POST", `${stream}/restore/finish`)).status).toBe(200);
  for (let second = 0; second < 20; second++) {
    expect((await read()).records).toEqual(before);
    await scheduler.wait(1_000);
  }
  proxy.always(undefined);
  expect((await append("d")).json.verdicts).toMatchObject([{ verdict: "appended", offset: 3 }]);
});
