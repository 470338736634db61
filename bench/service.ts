/** The product and the baselines, each in a `workerd serve` of its own, and what the cases ask of the product. */
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Options, type Running, run } from "../scripts/workerd.ts";
import type { S3Store } from "../src/platform/s3-request.ts";
import { bound } from "../test/system/bound.ts";
import { varsOf } from "../test/system/s3-server.ts";
import type { Payload } from "./payloads.ts";
import { Socket } from "./socket.ts";
import { request } from "./wire.ts";

const root = resolve(import.meta.dirname, "..");
// Inside the project, not in the system's folder for temporary files: that may be memory, where an fsync is free.
const data = join(root, ".millrace", `bench-${process.pid}`);
const token = randomUUID();
const running: Promise<Pick<Running, "stop">>[] = [];
let started = 0;

export async function startProduct(): Promise<Service> {
  // Webhooks go to receivers in this process.
  return start("product", { privateNetwork: true });
}

/** The product with an archive. */
export async function startArchived(store: S3Store): Promise<Service> {
  return start("archived", { archive: varsOf(store) });
}

/** The product with a bucket that is bound. */
export async function startBound(): Promise<Service> {
  const starting = bound(join(data, `bound-${started++}`), token);
  running.push(starting);
  return new Service(await starting);
}

export async function startBaseline(): Promise<Service> {
  return start("baseline", { main: join(root, "bench/baseline.ts") });
}

async function start(name: string, options: Pick<Options, "main" | "privateNetwork" | "archive">): Promise<Service> {
  const starting = run({ ...options, data: join(data, `${name}-${started++}`), token });
  running.push(starting);
  return new Service(await starting);
}

/** Those that are just starting too. May be asked for again: by a signal, or by the failure that it causes. */
export async function stopAll(): Promise<void> {
  for (const service of await Promise.allSettled(running.splice(0))) {
    if (service.status === "fulfilled") await service.value.stop("SIGKILL");
  }
  rmSync(data, { recursive: true, force: true });
}

/** What `GET …/partitions/0` tells that the cases need. */
export interface Facts {
  readonly rowsWritten: number;
  readonly records: number;
  readonly tail: number;
  readonly bytes: number;
  readonly hotBytes: number;
  readonly segments: number;
  readonly archived: { readonly segments: number; readonly bytes: number };
}

/** What a group's status tells that the cases need. */
export interface GroupFacts {
  readonly lag: number;
  readonly inFlight: number;
  readonly redeliveries: number;
  readonly partitions: readonly { readonly rowsWritten: number }[];
}

export class Service {
  readonly url: string;
  readonly port: number;
  /** workerd's; 0 where that is another's child. */
  readonly pid: number;
  readonly token = token;

  constructor({ url, pid = 0 }: { readonly url: string; readonly pid?: number }) {
    this.url = url;
    this.port = Number(new URL(url).port);
    this.pid = pid;
  }

  post(path: string, payload: Payload): Uint8Array {
    const headers = { authorization: `Bearer ${token}`, "content-type": payload.type };
    return request("POST", path, headers, payload.body);
  }

  postJson(path: string, body: object): Uint8Array {
    return this.post(path, { type: "application/json", body: Buffer.from(JSON.stringify(body)), records: 0 });
  }

  get(path: string, accept = "application/json"): Uint8Array {
    return request("GET", path, { authorization: `Bearer ${token}`, accept });
  }

  /** Creates a stream of one partition, and returns its path. */
  async stream(name: string): Promise<string> {
    const path = `/v1/default/streams/${name}`;
    await this.#call("PUT", path, { partitions: 1 });
    return path;
  }

  /** Changes what is said of a stream's configuration. */
  async configure(stream: string, config: object): Promise<void> {
    await this.#call("PUT", stream, config);
  }

  async facts(stream: string): Promise<Facts> {
    return (await this.#call("GET", `${stream}/partitions/0`)) as Facts;
  }

  /** Creates a group, and returns its path. */
  async group(stream: string, name: string, config: object): Promise<string> {
    const path = `${stream}/groups/${name}`;
    await this.#call("PUT", path, config);
    return path;
  }

  async groupFacts(group: string): Promise<GroupFacts> {
    return (await this.#call("GET", `${group}/status`)) as GroupFacts;
  }

  async drop(path: string): Promise<void> {
    await this.#call("DELETE", path);
  }

  /** Opens the socket of a stream, or of a member of a group. */
  live(path: string): Promise<Socket> {
    return Socket.open(this.port, `${path}/live`, { authorization: `Bearer ${token}` });
  }

  /** The most records that one page may have. */
  async pageRecordsMax(): Promise<number> {
    const { limits } = (await this.#call("GET", "/v1/config")) as { limits: { pageRecordsMax: number } };
    return limits.pageRecordsMax;
  }

  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const init = { method, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) };
    const response = await fetch(this.url + path, init);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  }
}
