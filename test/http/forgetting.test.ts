/**
 * Forgotten is forgotten: records in every state that there is, and after the receipt no table of any object, no object in the
 * bucket and no answer has a word of them; over crashes, and with a store that does not delete.
 */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { deliveryPlaces, notOurs, partitionPlaces, withoutText } from "../../src/log/forgetting.ts";
import { s3Blobs } from "../../src/platform/s3.ts";
import { long } from "../cases/long.ts";
import { type FaultProxy, faultProxy } from "../system/fault-proxy.ts";
import { type Server, s3Server, varsOf } from "../system/s3-server.ts";
import { until } from "./archived.ts";
import { tablesOf } from "./databases.ts";
import { type Got, Group, streams } from "./group.ts";
import { Member } from "./member.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
let store: Server;
let proxy: FaultProxy;
const receivers: Receiver[] = [];
let count = 0;

beforeAll(async () => {
  store = await s3Server();
  proxy = await faultProxy(store.store);
  millrace = await start();
});
afterAll(async () => {
  for (const receiver of receivers) await receiver.close();
  await millrace.end();
  await proxy.end();
  await store.end();
});

const start = (data?: string) => service(data, { privateNetwork: true, archive: varsOf(proxy.store) });

async function kill(): Promise<void> {
  await millrace.stop("SIGKILL");
  millrace = { ...(await start(millrace.data)) };
}

async function receiver(...args: Parameters<typeof Receiver.open>): Promise<Receiver> {
  const opened = await Receiver.open(...args);
  receivers.push(opened);
  return opened;
}

/** What is in the bucket, but for what is its users'. */
async function bucketText(): Promise<string> {
  const blobs = s3Blobs(store.store);
  let text = "";
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page: Awaited<ReturnType<typeof blobs.list>> = await blobs.list("", after);
    for (const { key, size } of page.blobs) {
      if (!key.startsWith("snapshots/")) text += Buffer.from((await blobs.get(key, 0, size)) ?? []).toString("latin1");
    }
    after = page.after;
  }
  return text;
}

/** Places that still have a word. */
const having = (word: string) =>
  tablesOf(millrace.data)
    .filter(({ text }) => text.includes(word))
    .map(({ kind, name }) => `${kind}.${name}`)
    .sort();

const pending = [600_000];
const hanging = { url: "", timeoutMs: 60_000 };

/** Records of a victim among others, in a stream with a past, and groups that stand at them in all the ways there are. */
class Scene {
  readonly word = `victim${count}x7f3a`;
  readonly path = `${streams}/forgetting-${count}`;
  readonly letters = `${streams}/forgotten-letters-${count++}`;
  readonly groups: Record<string, Group> = {};
  release: () => void = () => {};
  hung!: Receiver;

  /** A stream with a key index cannot be split. */
  constructor(readonly splits: boolean) {}

  async append(from: number, to: number): Promise<void> {
    const { word } = this;
    for (let at = from; at < to; at += 10) {
      const records = Array.from({ length: 10 }, (_, index) =>
        index === 0
          ? {
              key: word,
              id: `${word}-${at}`,
              source: `/${word}`,
              subject: `about/${word}`,
              data: `the secret of ${word}`,
            }
          : { key: `k${index}`, data: { at, index } },
      );
      const answer = await millrace.call("POST", `${this.path}/records`, { records });
      expect(answer.status, answer.text).toBe(201);
    }
  }

  async group(name: string, config: object): Promise<Group> {
    const group = new Group(millrace, this.path, name);
    const answer = await group.put({ start: "earliest", backoff: pending, ...config });
    expect(answer.status, answer.text).toBe(201);
    this.groups[name] = group;
    return group;
  }

  /** The service was started anew, at another port. */
  rebind(): void {
    for (const [name, { stream }] of Object.entries(this.groups)) this.groups[name] = new Group(millrace, stream, name);
  }

  /** Fails what is the victim's, and says why in its words; the rest is acked. */
  async fail(group: Group, most = 50): Promise<void> {
    const got = await group.receive({ max: 50 });
    const mine = got.filter(({ data }) => String(data).includes(this.word));
    expect(mine.length).toBeGreaterThan(0);
    await group.ack(...got.filter((one) => !mine.includes(one)));
    for (const one of mine.slice(0, most)) await group.nack(one, { reason: `cannot take the secret of ${this.word}` });
  }

  async make(): Promise<void> {
    const { word } = this;
    const { call } = millrace;
    const retention = {
      archive: true,
      retentionRecords: 80,
      deduplicationWindowMs: 1_000,
      keyIndex: !this.splits,
      parquet: [],
    };
    expect((await call("PUT", this.path, retention)).status).toBe(201);
    expect((await call("PUT", this.letters, {})).status).toBe(201);
    await this.append(0, 200);
    await this.group("fresh", {});
    // At hand, and not taken.
    await (await this.group("window", { maxInFlight: 2 })).receive({ max: 2 });
    await (await this.group("leased", { ackTimeoutMs: 600_000 })).receive({ max: 30 });
    await this.fail(await this.group("retry", {}));
    await this.fail(await this.group("ordered", { order: "partition" }), 1);
    await this.fail(await this.group("any", { order: "none" }));
    await this.fail(await this.group("parked", { maxDeliveries: 1, onFailure: "park" }));
    await this.fail(
      await this.group("dead", {
        maxDeliveries: 1,
        onFailure: "skip",
        deadLetterStream: this.letters.split("/").pop(),
      }),
    );
    const again = await this.group("again", { maxDeliveries: 1, onFailure: "skip" });
    await this.fail(again);
    const [letter] = await again.letters();
    await again.post("dead-letters/redrive", { all: true });
    await again.post("dead-letters/redrive", { letter: letter.letter, data: { edited: word } });
    await again.receive({ max: 1 });
    // Its socket goes, which counts.
    const left = await this.group("left", { maxDeliveries: 5 });
    const member = await Member.open(millrace, left.path);
    member.send({ type: "credit", credits: 5 });
    await member.until(5);
    member.socket.close();
    // Answers with what it got; and does not answer.
    const echo = await receiver((response, { body }) => response.writeHead(500).end(body));
    await this.group("echo", { push: { url: echo.url, format: "batch", concurrency: 2 }, batch: { records: 3 } });
    this.hung = await receiver((response, { body }) => {
      const before = this.release;
      this.release = () => {
        before();
        response.writeHead(500).end(body);
      };
    });
    await this.group("hung", { push: { ...hanging, url: this.hung.url, concurrency: 3 } });
    await vi.waitFor(() => expect(this.hung.calls.some(({ body }) => body.includes(word))).toBe(true), 10_000);
    await vi.waitFor(async () => {
      expect((await this.groups.echo.get("/attempts")).text).toContain(word);
      expect((await call("GET", `${this.letters}/records`)).text).toContain(word);
    }, 10_000);
    // The halves wait for its keys.
    if (this.splits) expect((await call("PUT", this.path, { partitions: 2 })).text).toContain('"partitions":2');
    await this.append(200, 300);
    await this.groups.parked.receive({ max: 50 });
    await until("some is archived only", async () =>
      (await call("GET", `${this.path}/partitions/0`)).json.hotFrom >= 60 ? true : undefined,
    );
  }

  /** Everything that anybody is answered about the victim. */
  async said(): Promise<string> {
    const texts = [(await millrace.call("GET", `${this.path}/records?limit=1000`)).text];
    for (const group of Object.values(this.groups)) {
      for (const what of ["/lanes", "/dead-letters", "/attempts?limit=1000", "/status"])
        texts.push((await group.get(what)).text);
    }
    return texts.join("\n");
  }

  /** What comes out of every group from now on. */
  async delivered(): Promise<string> {
    const texts: string[] = [];
    for (const [name, group] of Object.entries(this.groups)) {
      if (name === "echo" || name === "hung") continue;
      await group.put({ ackTimeoutMs: 1_000, maxInFlight: 1_000, backoff: [0] });
      for (
        let got: Got[] = await group.receive({ max: 200 });
        got.length > 0;
        got = await group.receive({ max: 200 })
      ) {
        texts.push(JSON.stringify(got));
        await group.ack(...got);
      }
    }
    return texts.join("\n");
  }
}

const done = async (path: string, id: string) =>
  until(
    "it is forgotten",
    async () => {
      const { json } = await millrace.call("GET", `${path}/erasures/${id}`);
      return json.done ? json : undefined;
    },
    60_000,
  );

describe.each([
  ["a key", "key", "on the run"],
  ["a subject", "subject", "over kills"],
  ...(long
    ? ([
        ["a subject", "subject", "on the run"],
        ["a key", "key", "over kills"],
      ] as const)
    : []),
] as const)("%s (%s), %s", (_name, by, when) => {
  test("is nowhere any more when its receipt says done", async () => {
    const scene = new Scene(when === "over kills");
    const { word } = scene;
    await scene.make();
    // The test says something only where they were everywhere before.
    const expected = ["partition.chunk", "delivery.letters", "delivery.meta:attempts"];
    if (!scene.splits) expected.push("partition.last_of_key");
    const found = await until("it is written down", async () => {
      const places = having(word);
      return expected.every((one) => places.includes(one)) ? places : undefined;
    });
    expect(found.some((name) => name === "delivery.place" || name === "delivery.lanes")).toBe(true);
    expect(await bucketText()).toContain(word);
    if (when === "over kills") {
      // What was written down is all that is left.
      await pause(5_500);
      await kill();
      scene.rebind();
    }
    const target = { [by]: by === "key" ? word : `about/${word}` };
    for (const path of [scene.path, scene.letters]) {
      const taken = await millrace.call("POST", `${path}/erasures`, { ...target, id: "r" });
      expect(taken.status, taken.text).toBe(202);
    }
    for (let kills = when === "over kills" ? 3 : 0; kills > 0; kills--) {
      await pause(40 * kills);
      await kill();
      scene.rebind();
    }
    const sent = () => scene.hung.calls.filter(({ body }) => body.includes(word)).length;
    const receipt = await done(scene.path, "r");
    await done(scene.letters, "r");
    const before = sent();
    expect(receipt.partitions.flatMap(({ unread }: { unread: number[] }) => unread)).toEqual([]);
    expect(having(word)).toEqual([]);
    expect(await bucketText()).not.toContain(word);
    expect(await scene.said()).not.toContain(word);
    scene.release();
    expect(await scene.delivered()).not.toContain(word);
    await vi.waitFor(async () =>
      expect((await scene.groups.hung.get("/attempts")).json.attempts.length).toBeGreaterThan(2),
    );
    await pause(2_500);
    expect(sent()).toBe(before);
    expect(having(word)).toEqual([]);
    expect(await scene.said()).not.toContain(word);
  });
});

test("every table, and every row of meta, has its place in the list", () => {
  const listed = {
    partition: [...Object.values(partitionPlaces).flat(), ...withoutText.partition, ...notOurs],
    delivery: [...Object.values(deliveryPlaces).flat(), ...withoutText.delivery],
    catalog: withoutText.catalog,
  };
  const unlisted = tablesOf(millrace.data).filter(
    ({ kind, name }) => name !== "meta" && !(listed[kind] as readonly string[]).includes(name),
  );
  expect(unlisted.map(({ kind, name }) => `${kind}.${name}`)).toEqual([]);
});

test("is not done before the bucket has deleted what a trim had left there", async () => {
  const word = "victim-in-garbage";
  const path = `${streams}/in-garbage`;
  await millrace.call("PUT", path, { archive: true, retentionRecords: 80, deduplicationWindowMs: 0 });
  for (let at = 0; at < 200; at += 10) {
    const records = Array.from({ length: 10 }, (_, index) => ({
      key: index === 0 ? word : "k",
      data: `${word} ${index > 0}`,
    }));
    await millrace.call("POST", `${path}/records`, {
      records: records.map((one) => (one.key === word ? one : { ...one, data: 1 })),
    });
  }
  await until("it is archived", async () => ((await bucketText()).includes(word) ? true : undefined));
  const deletes = (request: string) => request.startsWith("DELETE ") || /^POST .*[?&]delete/.test(request);
  proxy.always({ status: 503 }, deletes);
  try {
    expect((await millrace.call("POST", `${path}/partitions/0/trim`, { beforeOffset: 200 })).status).toBe(200);
    await pause(500);
    await millrace.call("POST", `${path}/erasures`, { key: word, id: "r" });
    await until("it waits for the bucket", async () => {
      const { json } = await millrace.call("GET", `${path}/erasures/r`);
      expect(json.done).toBe(false);
      return json.partitions[0].state === "deleting" ? true : undefined;
    });
    expect(await bucketText()).toContain(word);
    expect((await millrace.call("GET", `${path}/erasures/r`)).json).toMatchObject({ done: false });
    expect((await millrace.call("GET", `${path}/erasures/r`)).json.partitions[0].objects).toBeGreaterThan(0);
  } finally {
    proxy.always(undefined);
  }
  await done(path, "r");
  expect(await bucketText()).not.toContain(word);
  expect(having(word)).toEqual([]);
});
