/**
 * What is told to several partitions, while one of them refuses: `clean` is said of nothing that another has done, and of everything
 * that none has. Every route that changes something is here, or named as one that asks a single object.
 */
import { expect, test } from "vitest";
import { ok, refuse } from "../../schemas/errors.ts";
import { streamDefaults } from "../../schemas/stream.ts";
import { firstMap } from "../../src/catalog/map.ts";
import { writeReceipt } from "../../src/delivery/receipt.ts";
import { app, routes } from "../../src/http/app.ts";
import { readHeaders } from "../../src/log/frame.ts";
import "./machine.ts";

const count = 3;
const receipts = Array.from({ length: count }, (_, partition) =>
  writeReceipt({ partition, offset: 0, era: 0, generation: 1, tag: 1 }),
);
const letters = receipts.map((_, partition) => `${partition}.0`);
const records = Array.from({ length: 20 }, (_, n) => ({ key: `k${n}`, data: n }));

const stream = "/v1/:ns/streams/:stream";
const group = `${stream}/groups/:group`;
const repair = `${stream}/partitions/:partition/repair`;
/** What a request changes in several objects, or in several steps, with a body. */
const several: Readonly<Record<string, object>> = {
  [`${stream}/records`]: { records },
  [`${stream}/erasures`]: { id: "e", subject: "about" },
  [repair]: { mode: "isolate" },
  [`${group}/receive`]: { ack: receipts },
  [`${group}/ack`]: { receipts },
  [`${group}/nack`]: { receipts },
  [`${group}/release`]: { receipts },
  [`${group}/extend`]: { receipts },
  [`${group}/pause`]: {},
  [`${group}/resume`]: {},
  [`${group}/seek`]: { to: "earliest" },
  [`${group}/dead-letters/redrive`]: { all: true },
  [`${group}/dead-letters/discard`]: { letters },
};
const more = [
  [`${group}/dead-letters/redrive`, { letters }],
  [`${group}/dead-letters/discard`, { all: true }],
] as const;

/** Routes of one object, which decides alone; what the catalog has decided it tells by itself, until it is heard. */
const single = [
  "/v1/:ns",
  stream,
  `${stream}/tickets`,
  `${stream}/partitions/:partition/trim`,
  `${stream}/partitions/:partition/fence`,
  `${stream}/partitions/:partition/verify`,
  `${stream}/partitions/:partition/restore`,
  `${stream}/restore`,
  `${stream}/restore/finish`,
  `${group}/restore`,
  group,
  `${group}/test`,
  `${group}/lanes/resume`,
  `${group}/lanes/skip`,
];

test("every route that changes something is looked at", () => {
  const changing = Object.keys(routes).filter(
    (path) =>
      !path.startsWith(`${stream}/snapshots`) &&
      Object.keys(routes[path]).some((one) => one !== "GET" && one !== "HEAD"),
  );
  expect(changing.sort()).toEqual([...Object.keys(several), ...single].sort());
});

const questions = new Set(["status", "letters", "lanes", "known", "lost", "locate", "erasure"]);
const said = (name: string) => {
  if (name === "erasure" || name === "known") return undefined;
  if (name === "locate" || name === "seek") return 0;
  if (name === "redrive" || name === "discard") return 1;
  if (name === "lost" || name === "ack" || name === "nack" || name === "release" || name === "extend") return [];
  return {};
};

const recordsIn = (bytes: Uint8Array): number => {
  const frames = readHeaders(bytes);
  return frames.ok ? frames.value.reduce((sum, { count }) => sum + count, 0) : 0;
};

/** Objects of which some fail when they are told something: by a refusal, or by a throw. `done`: what the others did. */
function world(fails: (partition: number, times: number, name: string) => boolean, fault: () => unknown) {
  const done: string[] = [];
  let times = 0;
  const told = (name: string, partition: number, args: readonly unknown[]) => {
    if (questions.has(name)) return ok(said(name));
    if (fails(partition, times++, name)) return fault();
    done.push(`${name} ${partition}`);
    // As if there were more of it.
    if (name === "repair") {
      const { from } = args[0] as { from: number };
      return ok({ lost: [], ...(from < 2 ? { next: from + 1 } : {}), to: 3 });
    }
    if (name === "append") return ok([{ verdict: "appended", offset: 0, count: recordsIn(args[1] as Uint8Array) }]);
    if (name === "receive") return ok({ ends: [], lost: [], bytes: [], refused: [], ready: false });
    if (name === "erase") return ok({ view: { partition, state: "done" }, asked: [0, 1, 2] });
    return ok(said(name));
  };
  const object = (name: string) => {
    const partition = Number(name.split("/").at(-1));
    const order = async (name: string, ...args: unknown[]) => told(name, partition, args);
    const own = { order, admin: order };
    return new Proxy(own, {
      get: (of, name: string) => of[name as "order"] ?? (async (...args: unknown[]) => told(name, partition, args)),
    });
  };
  const config = { ...streamDefaults, partitions: count };
  const one = { name: "s", logId: "0".repeat(20), version: 1, config, map: firstMap(count), created: 0, updated: 0 };
  const ofGroup = { name: "g", id: "1".repeat(20), version: 1, config: {}, paused: false, partitions: count };
  const catalog = {
    stream: async () => ok(one),
    group: async () => ok({ ...ofGroup, created: 0, updated: 0 }),
    setPaused: async () => {
      done.push("setPaused");
      return ok({ ...ofGroup, config: { push: null }, created: 0, updated: 0 });
    },
    order: async () => ok([0, 1, 2]),
  };
  const env = {
    MILLRACE_ROOT_TOKEN: "token",
    CATALOG: { getByName: () => catalog },
    PARTITION: { getByName: object },
    DELIVERY: { getByName: object },
  };
  return { done, env };
}

const faults = {
  "a refusal": () => refuse("conflict", "it cannot be done here"),
  "too much to do": () => Promise.reject(Object.assign(new Error("overloaded"), { overloaded: true })),
};

let streams = 0;
const ask = async (path: string, body: object, env: object) => {
  const name = `s${streams++}`;
  const at = path.replace(":ns", "default").replace(":stream", name).replace(":group", "g").replace(":partition", "0");
  const headers = { authorization: "Bearer token", "content-type": "application/json" };
  const answer = await app.request(at, { method: "POST", headers, body: JSON.stringify(body) }, env);
  return { status: answer.status, said: (await answer.json()) as { clean?: boolean } };
};

const cases = [...Object.entries(several), ...more].flatMap(([path, body]) =>
  Object.keys(faults).map((fault) => [path.slice(stream.length), JSON.stringify(body).slice(0, 20), fault, path, body]),
) as [string, string, keyof typeof faults, string, object][];

test.each(cases)("%s %s, one with %s", async (_path, _body, fault, path, body) => {
  for (let failing = 0; failing < count; failing++) {
    const fails = (partition: number, times: number) => (path === repair ? times === failing : partition === failing);
    const { done, env } = world(fails, faults[fault]);
    const { status, said } = await ask(path, body, env);
    if (status < 300) continue;
    expect([said.clean, done], `the one that fails: ${failing}`).toEqual([done.length === 0, done]);
  }
  const { done, env } = world(() => true, faults[fault]);
  const { said } = await ask(path, body, env);
  expect([said.clean, done]).toEqual([done.length === 0, done]);
});

test("what a partition would refuse to forget, none is asked to", async () => {
  const { done, env } = world(() => false, faults["a refusal"]);
  const { PARTITION } = env;
  const object = (name: string) => {
    const one = PARTITION.getByName(name);
    const order = (order: string, ...args: unknown[]) =>
      order === "erasure" && name.endsWith("/2") ? faults["a refusal"]() : one.order(order, ...args);
    return { order };
  };
  const answer = await ask(
    `${stream}/erasures`,
    { id: "e", subject: "about" },
    { ...env, PARTITION: { getByName: object } },
  );
  expect(answer).toMatchObject({ status: 409, said: { code: "conflict", clean: true } });
  expect(done).toEqual([]);
});

test("what a receive has acked is acked, whatever becomes of what it asks for", async () => {
  const { done, env } = world((_partition, _times, name) => name === "receive", faults["too much to do"]);
  const { status, said } = await ask(`${group}/receive`, { ack: receipts }, env);
  expect([status, said.clean, done.length]).toEqual([503, false, count]);
});

test("of refusals of several partitions the one that may have been written counts", async () => {
  const { done, env } = world(
    () => true,
    () => refuse("conflict", ""),
  );
  const { PARTITION } = env;
  const away = () => Promise.reject(Object.assign(new Error("away"), { retryable: true }));
  for (const last of [0, 2]) {
    const object = (name: string) => (name.endsWith(`/${last}`) ? { append: away } : PARTITION.getByName(name));
    const answer = await ask(`${stream}/records`, { records }, { ...env, PARTITION: { getByName: object } });
    expect(answer).toMatchObject({ status: 503, said: { code: "unavailable", clean: false } });
  }
  expect(done).toEqual([]);
});
