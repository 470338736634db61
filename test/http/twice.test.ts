/** Every mutation, twice: the second one changes nothing that can be seen, but where the contract says what it does. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { operations } from "../../src/http/operations.ts";
import { type Archived, archived } from "./archived.ts";
import { type Group, newGroup, newStream, park } from "./group.ts";
import type { Answer } from "./service.ts";

let millrace: Archived;
beforeAll(async () => {
  millrace = await archived();
});
afterAll(() => millrace.end());

const s = "/v1/:ns/streams/:stream";
const g = `${s}/groups/:group`;

/** What is sent, for the group of a stream that has records of which one died, one failed, and one is leased. */
interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: BodyInit | object;
  readonly headers?: Record<string, string>;
}
interface Ground {
  readonly stream: string;
  readonly group: Group;
  readonly receipt: string;
  readonly upload: string;
}
type Make = (ground: Ground) => Sent;

const ofGroup = (order: string, body: object | ((ground: Ground) => object)): Make => {
  return (ground) => {
    const made = typeof body === "function" ? body(ground) : body;
    return { method: "POST", path: `${ground.group.path}/${order}`, body: made };
  };
};
const ofStream = (method: string, rest: string, body?: BodyInit | object, headers?: Record<string, string>): Make => {
  return ({ stream, upload }) => {
    const path = stream + rest.replace("UPLOAD", upload);
    return { method, path, ...(body === undefined ? {} : { body }), ...(headers === undefined ? {} : { headers }) };
  };
};

const producer = { "producer-id": "p", "producer-epoch": "0", "producer-seq": "0" };
const record = { records: [{ key: "n", data: "new" }] };

/** Each as many ways as it has. */
const once: Readonly<Record<string, readonly Make[]>> = {
  "PUT /v1/:ns": [() => ({ method: "PUT", path: "/v1/twice", body: {} })],
  "DELETE /v1/:ns": [() => ({ method: "DELETE", path: "/v1/nobody" })],
  [`PUT ${s}`]: [ofStream("PUT", "", { retentionRecords: 1_000 }), ofStream("PUT", "", { partitions: 2 })],
  [`PATCH ${s}`]: [
    ofStream("PATCH", "", { retentionRecords: 1_000 }),
    ofStream("PATCH", "", { retentionRecords: null }),
  ],
  [`DELETE ${s}`]: [ofStream("DELETE", "")],
  [`POST ${s}/records`]: [
    ofStream("POST", "/records", record, producer),
    ofStream("POST", "/records", { records: [{ id: "1", source: "/s", data: 1 }] }),
    ofStream("POST", "/records?partition=0&expectedOffset=6", record),
  ],
  [`POST ${s}/partitions/:partition/trim`]: [
    ofStream("POST", "/partitions/0/trim", { beforeOffset: 1 }),
    ofStream("POST", "/partitions/0/trim", { beforeTime: "2026-01-01T00:00:00Z" }),
  ],
  [`PUT ${s}/partitions/:partition/fence`]: [ofStream("PUT", "/partitions/0/fence", { token: "t" })],
  [`POST ${s}/partitions/:partition/verify`]: [ofStream("POST", "/partitions/0/verify")],
  [`POST ${s}/partitions/:partition/repair`]: [
    ofStream("POST", "/partitions/0/repair", { mode: "isolate" }),
    ofStream("POST", "/partitions/0/repair", { mode: "truncate", from: 3 }),
  ],
  [`POST ${s}/erasures`]: [ofStream("POST", "/erasures", { id: "e", key: "d" })],
  [`PUT ${g}`]: [({ group }) => ({ method: "PUT", path: group.path, body: { maxInFlight: 9 } })],
  [`PATCH ${g}`]: [({ group }) => ({ method: "PATCH", path: group.path, body: { maxInFlight: 9 } })],
  [`DELETE ${g}`]: [({ group }) => ({ method: "DELETE", path: group.path })],
  [`POST ${g}/ack`]: [ofGroup("ack", ({ receipt }) => ({ receipts: [receipt] }))],
  [`POST ${g}/nack`]: [
    ofGroup("nack", ({ receipt }) => ({ receipts: [receipt], delayMs: 600_000 })),
    ofGroup("nack", ({ receipt }) => ({ receipts: [receipt] })),
  ],
  [`POST ${g}/release`]: [ofGroup("release", ({ receipt }) => ({ receipts: [receipt] }))],
  [`POST ${g}/extend`]: [ofGroup("extend", ({ receipt }) => ({ receipts: [receipt], ackTimeoutMs: 600_000 }))],
  [`POST ${g}/pause`]: [ofGroup("pause", { reason: "r" })],
  [`POST ${g}/resume`]: [ofGroup("resume", {})],
  [`POST ${g}/seek`]: [
    ofGroup("seek", { to: 1 }),
    ofGroup("seek", { to: "earliest" }),
    ofGroup("seek", { to: "latest" }),
  ],
  [`POST ${g}/lanes/resume`]: [ofGroup("lanes/resume", { lane: "0.1", offset: 0 })],
  [`POST ${g}/lanes/skip`]: [ofGroup("lanes/skip", { lane: "0.1", offset: 0 })],
  [`POST ${g}/dead-letters/redrive`]: [
    ofGroup("dead-letters/redrive", { all: true }),
    ofGroup("dead-letters/redrive", { letters: ["0.0"] }),
    ofGroup("dead-letters/redrive", { letter: "0.0", data: "edited" }),
  ],
  [`POST ${g}/dead-letters/discard`]: [
    ofGroup("dead-letters/discard", { all: true }),
    ofGroup("dead-letters/discard", { letters: ["0.0"] }),
  ],
  [`PUT ${s}/snapshots/:snapshot`]: [ofStream("PUT", "/snapshots/1", "state")],
  [`POST ${s}/snapshots/:snapshot`]: [ofStream("POST", "/snapshots/lease", { holder: "h", offset: 1, seconds: 60 })],
  [`DELETE ${s}/snapshots/:snapshot`]: [ofStream("DELETE", "/snapshots/2")],
  [`DELETE ${s}/snapshots/:snapshot/uploads/:upload`]: [ofStream("DELETE", "/snapshots/3/uploads/UPLOAD")],
  [`PUT ${s}/snapshots/:snapshot/uploads/:upload/:part`]: [ofStream("PUT", "/snapshots/3/uploads/UPLOAD/1", "part")],
};

/** What gives out another each time, so says the contract. */
const another = [
  `POST ${g}/receive`,
  `POST ${s}/tickets`,
  `POST ${g}/test`,
  `POST ${s}/snapshots/:snapshot/uploads`,
  // Needs an answer of another: below.
  `POST ${s}/snapshots/:snapshot/uploads/:upload/:part`,
];
/** Blocks of a dump: whatever is there of them is passed over, as the tests of restores see. */
const restores = /\/restore(\/finish)?$/;

test("every mutation is one of these", () => {
  const all = Object.entries(operations).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  const mutations = all.filter((one) => !one.startsWith("GET") && !restores.test(one));
  expect([...Object.keys(once), ...another].sort()).toEqual(mutations.sort());
});

async function ground(): Promise<Ground> {
  const stream = await newStream(millrace, { archive: true });
  const group = await newGroup(millrace, park, stream);
  await group.append("a1", "b1", "c1", "d1", "a2", "a3");
  const [a, , c] = await group.receive();
  await group.nack(a);
  await millrace.call("PUT", `${stream}/snapshots/2`, "older");
  const { json } = await millrace.call("POST", `${stream}/snapshots/3/uploads`, {});
  return { stream, group, receipt: c.receipt, upload: json.upload };
}

/** All that can be seen, but times, ages, and the versions that tell two snapshots of an offset apart. */
async function look({ stream, group }: Ground): Promise<string> {
  const paths = [
    ...["", "/groups", "/partitions/0", "/records?partition=0", "/snapshots", "/erasures/e"].map(
      (rest) => stream + rest,
    ),
    ...["", "/status", "/lanes", "/dead-letters"].map((rest) => group.path + rest),
    "/v1",
  ];
  const seen: unknown[] = [];
  for (const path of paths) {
    const { status, json } = await millrace.call("GET", path);
    seen.push([path, status, json]);
  }
  // What is sealed goes into the archive by itself.
  const passing = /(age|at|href|cursor|ms|seconds|rowsWritten|archived)$/i;
  const shown = function (this: object, name: string, value: unknown) {
    return passing.test(name) || (name === "version" && "crc32c" in this) ? undefined : value;
  };
  return JSON.stringify(seen, shown, 1);
}

const send = ({ method, path, body, headers }: Sent): Promise<Answer> => millrace.call(method, path, body, headers);
const cases = Object.entries(once).flatMap(([name, makes]) => makes.map((make, index) => [name, index, make] as const));

describe("twice is as once", () => {
  test.each(cases)("%s (%i)", async (name, _, make) => {
    const on = await ground();
    const sent = make(on);
    const first = await send(sent);
    expect(first.status, first.text).toBeLessThan(500);
    if (name !== "DELETE /v1/:ns") expect(first.status, first.text).toBeLessThan(400);
    const before = await still(on);
    const second = await send(sent);
    expect(second.status, second.text).toBeLessThan(500);
    expect(await look(on)).toBe(before);
  });

  /** A seek moves the group to its place whatever was done since, says the contract. */
  const ofMembers = cases.filter(([name]) => name.includes(g) && !/^DELETE|seek$/.test(name));
  test.each(ofMembers)("%s (%i), while members work", async (_, __, make) => {
    const on = await ground();
    const sent = make(on);
    await send(sent);
    // Whoever has just given something back comes after others.
    const deliveries = await on.group.receive({ max: 100, member: "other" });
    const before = await still(on);
    await send(sent);
    expect(await look(on)).toBe(before);
    expect(await on.group.receive({ max: 100, member: "third" })).toEqual([]);
    if (deliveries.length > 0) await on.group.ack(...deliveries);
  });
});

/** What can be seen when all that goes on by itself, such as forgetting, has come to its end. */
async function still(on: Ground): Promise<string> {
  let before = await look(on);
  const isSame = async () => {
    const now = await look(on);
    const same = now === before;
    before = now;
    return same;
  };
  await expect.poll(isSame, { timeout: 10_000 }).toBe(true);
  return before;
}

test("an upload is completed twice, and answers the same", async () => {
  const { stream } = await ground();
  const { upload } = (await millrace.call("POST", `${stream}/snapshots/4/uploads`, {})).json;
  const path = `${stream}/snapshots/4/uploads/${upload}`;
  const { etag } = (await millrace.call("PUT", `${path}/1`, "part")).json;
  const complete = () => millrace.call("POST", `${path}/complete`, { parts: [{ number: 1, etag }] });
  const [first, second] = [await complete(), await complete()];
  expect([first.status, second.status]).toEqual([201, 201]);
  expect(second.json).toEqual(first.json);
});

test("a request to forget without an id is another one, to the same end", async () => {
  const { stream } = await ground();
  const ask = async () => (await millrace.call("POST", `${stream}/erasures`, { key: "d" })).json.id;
  const [first, second] = [await ask(), await ask()];
  expect(second).not.toBe(first);
  const records = async () => (await millrace.call("GET", `${stream}/records`)).json.records;
  await expect.poll(async () => (await records())[3].type).toBe("millrace.erased");
  expect(await records()).toHaveLength(6);
});
