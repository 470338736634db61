/**
 * The service for other Workers of the account, by a service binding: the same operations by RPC. The binding's `props` say
 * for which namespace it is, and what it may do; the code behind it cannot ask for more.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Right } from "../schemas/ticket.ts";
import type { AppendOptions, StreamConfig, StreamInfo, Verdict } from "./client/index.ts";
import {
  type Delivery,
  type GroupConfig,
  type GroupInfo,
  type GroupStatus,
  type Lost,
  Millrace,
  MillraceError,
  type NewRecord,
  type ReadOptions,
  type ReceiveOptions,
  type StoredRecord,
} from "./client/index.ts";
import { app } from "./http/app.ts";
import { type Principal, vouch } from "./http/auth.ts";
import type { Env } from "./objects/stubs.ts";

/** In the binding: `props = { namespace = "default", rights = ["read", "append"] }`. */
export interface ApiProps {
  /** Default `default`. */
  readonly namespace?: string;
  /** Default: to read. */
  readonly rights?: readonly Right[];
}

export interface ReadPage {
  readonly records: StoredRecord[];
  /** Pass as `from` to go on. */
  readonly cursor: string | undefined;
  /** Records that were trimmed before they were read, or are damaged. */
  readonly lost: Lost[];
}

export class MillraceApi extends WorkerEntrypoint<Env, ApiProps> {
  /** Any request of the interface, sockets and events too; without a token. */
  override async fetch(request: Request): Promise<Response> {
    const { namespace = "default", rights = ["read"] } = this.ctx.props ?? {};
    const principal: Principal = { namespace, rights };
    // What the caller brings of its own does not count.
    const headers = new Headers(request.headers);
    headers.delete("authorization");
    return app.fetch(vouch(new Request(request, { headers }), principal), this.env, this.ctx);
  }

  /** Appends records; a verdict for each, once they are durable. Throws a `MillraceError` where none was taken. */
  append(stream: string, records: readonly NewRecord[], options: AppendOptions = {}): Promise<Verdict[]> {
    return this.#asked((millrace) => millrace.stream(stream).append(records, options));
  }

  /** A page of records, 1 000 at most unless `limit` says so. */
  read(stream: string, options: ReadOptions = {}): Promise<ReadPage> {
    return this.#asked(async (millrace) => {
      const { limit = 1_000 } = options;
      const lost: Lost[] = [];
      const onLost = (some: readonly Lost[]) => lost.push(...some);
      const reader = millrace.stream(stream).read({ ...options, limit, pageSize: limit, onLost });
      const records: StoredRecord[] = [];
      for await (const batch of reader.batches()) records.push(...batch);
      return { records, cursor: reader.cursor, lost };
    });
  }

  putStream(stream: string, config: StreamConfig = {}): Promise<StreamInfo> {
    return this.#asked((millrace) => millrace.stream(stream).put(config));
  }

  stream(stream: string): Promise<StreamInfo> {
    return this.#asked((millrace) => millrace.stream(stream).info());
  }

  deleteStream(stream: string): Promise<void> {
    return this.#asked((millrace) => millrace.stream(stream).delete());
  }

  putGroup(stream: string, group: string, config: GroupConfig = {}): Promise<GroupInfo> {
    return this.#asked((millrace) => millrace.stream(stream).group(group).put(config));
  }

  groupStatus(stream: string, group: string): Promise<GroupStatus> {
    return this.#asked((millrace) => millrace.stream(stream).group(group).status());
  }

  receive(stream: string, group: string, options: ReceiveOptions = {}): Promise<Delivery[]> {
    return this.#asked(async (millrace) => (await millrace.stream(stream).group(group).receive(options)).deliveries);
  }

  async ack(stream: string, group: string, receipts: readonly string[]): Promise<void> {
    await this.#asked((millrace) => millrace.stream(stream).group(group).ack(receipts));
  }

  async nack(
    stream: string,
    group: string,
    receipts: readonly string[],
    options: { delayMs?: number; reason?: string } = {},
  ): Promise<void> {
    await this.#asked((millrace) => millrace.stream(stream).group(group).nack(receipts, options));
  }

  /** Of an error only name, message and plain fields travel by RPC: the code goes into the message. */
  async #asked<T>(ask: (millrace: Millrace) => Promise<T>): Promise<T> {
    const { namespace = "default" } = this.ctx.props ?? {};
    const fetch = (input: string, init?: RequestInit) => this.fetch(new Request(input, init));
    try {
      return await ask(new Millrace({ url: "http://millrace", namespace, fetch: fetch as never }));
    } catch (error) {
      if (error instanceof MillraceError) throw new Error(`${error.code}: ${error.message}`);
      throw error;
    }
  }
}
