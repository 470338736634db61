/** A consumer group as its members and its operator use it, over HTTP. */
import { expect } from "vitest";
import type { Answer, Service } from "./service.ts";

export const streams = "/v1/default/streams";

/** A delivery as it is answered. */
export interface Got {
  readonly partition: number;
  readonly offset: number;
  readonly key?: string;
  readonly data: unknown;
  readonly receipt: string;
  readonly attempt: number;
  readonly deliveryId: string;
}

let count = 0;

/** A new stream, with the path of its groups. */
export async function newStream(millrace: Service, config: object = {}): Promise<string> {
  const path = `${streams}/s-${process.pid}-${count++}`;
  expect((await millrace.call("PUT", path, config)).status).toBe(201);
  return path;
}

/** A new group of a stream; the stream is new where none is named. */
export async function newGroup(millrace: Service, config: object = {}, stream: string | object = {}): Promise<Group> {
  const path = typeof stream === "string" ? stream : await newStream(millrace, stream);
  const group = new Group(millrace, path, `g${count++}`);
  const answer = await group.put(config);
  expect(answer.status, answer.text).toBe(201);
  return group;
}

export class Group {
  readonly path: string;

  constructor(
    readonly millrace: Service,
    readonly stream: string,
    readonly name: string,
  ) {
    this.path = `${stream}/groups/${name}`;
  }

  /** Appends records written as their data; what comes before the first digit is the key, and `-` is none. */
  async append(...texts: string[]): Promise<void> {
    await this.appendRecords(
      texts.map((data) => {
        const key = /^[^\d]*/.exec(data)![0];
        return key === "-" ? { data } : { key, data };
      }),
    );
  }

  async appendRecords(records: readonly object[]): Promise<void> {
    const answer = await this.millrace.call("POST", `${this.stream}/records`, { records });
    expect(answer.status, answer.text).toBe(201);
  }

  get = (rest = ""): Promise<Answer> => this.millrace.call("GET", this.path + rest);
  post = (order: string, body: object = {}): Promise<Answer> =>
    this.millrace.call("POST", `${this.path}/${order}`, body);
  put = (config: object): Promise<Answer> => this.millrace.call("PUT", this.path, config);

  async receive(body: object = {}): Promise<Got[]> {
    const answer = await this.post("receive", body);
    expect(answer.status, answer.text).toBe(200);
    return answer.json.deliveries;
  }

  /** Waits until something comes. */
  async next(body: object = {}): Promise<Got[]> {
    return this.receive({ waitSeconds: 20, ...body });
  }

  async ack(...got: Got[]): Promise<void> {
    const answer = await this.post("ack", { receipts: got.map(({ receipt }) => receipt) });
    expect(answer).toMatchObject({ status: 200, json: { settled: got.length } });
  }

  async nack(got: Got, more: object = {}): Promise<void> {
    const answer = await this.post("nack", { receipts: [got.receipt], ...more });
    expect(answer).toMatchObject({ status: 200, json: { settled: 1 } });
  }

  /** Receives and acknowledges until there is no more at once; the data in the order of delivery. */
  async drain(body: object = {}): Promise<unknown[]> {
    const found: unknown[] = [];
    for (;;) {
      const some = await this.receive(body);
      if (some.length === 0) return found;
      found.push(...dataOf(some));
      await this.ack(...some);
    }
  }

  async status() {
    return (await this.get("/status")).json;
  }

  async lanes() {
    return (await this.get("/lanes")).json.lanes;
  }

  async letters(query = "") {
    return (await this.get(`/dead-letters${query}`)).json.letters;
  }
}

export const dataOf = (some: readonly { data: unknown }[]): unknown[] => some.map(({ data }) => data);
export const one = (some: readonly Got[]): Got => {
  expect(some).toHaveLength(1);
  return some[0];
};

/** The first failure is the last: a dead letter, behind which the key waits, or goes on. */
export const park = { maxDeliveries: 1, onFailure: "park", backoff: [0] };
export const skip = { ...park, onFailure: "skip" };

/** Fails everything that comes, and whose data is named, until it comes no more. */
export async function fail(group: Group, ...which: string[]): Promise<void> {
  for (let some = await group.receive(); some.length > 0; some = await group.receive()) {
    for (const got of some) {
      if (which.includes(got.data as string)) await group.nack(got, { reason: `no ${got.data}` });
      else await group.ack(got);
    }
  }
}
