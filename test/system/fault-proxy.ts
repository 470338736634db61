/** Stands before an S3 server on loopback, and does to a request what it was told to. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { scheduler } from "node:timers/promises";
import { AwsV4Signer } from "aws4fetch";
import type { S3Store } from "../../src/platform/s3-request.ts";

export type Wrong =
  /** Answers instead of the server; with a body that is an error of S3's where there is a code. */
  | { readonly status: number; readonly code?: string }
  /** The connection breaks when half of the request's body went through. */
  | "cut"
  /** The server does it, and its answer is lost. */
  | "lost"
  /** The answer breaks off in the middle of its body. */
  | "short"
  /** It is done so much later. */
  | { readonly afterMs: number }
  /** It is done, and answered when this, which is called then, has come to its end. */
  | { readonly held: () => Promise<unknown> }
  /** Nothing ever comes back. */
  | "hang"
  /** The server never sees the condition. */
  | "unconditional";

export interface FaultProxy {
  readonly store: S3Store;
  /** Methods and paths that came, in order. */
  readonly seen: string[];
  /** What goes wrong with the next requests, one after another; `undefined` is nothing. */
  next(...wrong: (Wrong | undefined)[]): void;
  /** What goes wrong with all that are not told otherwise; with those only whose method and path are as `when` says. */
  always(wrong: Wrong | undefined, when?: (request: string) => boolean): void;
  end(): Promise<void>;
}

export async function faultProxy(store: S3Store): Promise<FaultProxy> {
  const target = new URL(store.endpoint);
  const queue: (Wrong | undefined)[] = [];
  const seen: string[] = [];
  let usual: Wrong | undefined;
  let when: ((request: string) => boolean) | undefined;
  const server = createServer((req, res) => {
    seen.push(`${req.method} ${decodeURIComponent(req.url!.slice(target.pathname.length).split("?")[0])}`);
    const isMeant = when === undefined || when(`${req.method} ${req.url}`);
    const wrong = queue.length > 0 ? queue.shift() : isMeant ? usual : undefined;
    void handle(req, res, wrong).catch(() => res.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function handle(req: IncomingMessage, res: ServerResponse, wrong: Wrong | undefined): Promise<void> {
    if (wrong === "hang") return;
    if (typeof wrong === "object" && "afterMs" in wrong) {
      await scheduler.wait(wrong.afterMs);
      return handle(req, res, undefined);
    }
    const chunks: Buffer[] = [];
    for await (const chunk of req) {
      chunks.push(chunk as Buffer);
      if (wrong === "cut") break;
    }
    const body = Buffer.concat(chunks);
    if (typeof wrong === "object" && "status" in wrong) {
      res.writeHead(wrong.status);
      return void res.end(wrong.code && `<?xml version="1.0"?><Error><Code>${wrong.code}</Code></Error>`);
    }
    const onward = request(new URL(req.url!, target).href, {
      method: req.method,
      headers: wrong === "unconditional" ? await withoutCondition(req) : req.headers,
    });
    onward.on("error", () => res.destroy());
    if (wrong === "cut") {
      onward.write(body.subarray(0, body.length / 2), () => onward.destroy());
      return void res.destroy();
    }
    onward.end(body);
    const [answer] = (await once(onward, "response")) as [IncomingMessage];
    if (wrong === "lost") {
      await once(answer.resume(), "end");
      return void res.destroy();
    }
    if (typeof wrong === "object") {
      const bytes = await answer.toArray();
      await wrong.held();
      res.writeHead(answer.statusCode!, answer.headers);
      return void res.end(Buffer.concat(bytes));
    }
    res.writeHead(answer.statusCode!, answer.headers);
    if (wrong !== "short") return void answer.pipe(res);
    const [first] = (await once(answer, "data")) as [Buffer];
    res.write(first.subarray(0, first.length / 2), () => res.destroy());
  }

  async function withoutCondition(req: IncomingMessage): Promise<Record<string, string>> {
    const headers = new Headers(req.headers as Record<string, string>);
    for (const name of ["if-none-match", "authorization", "x-amz-date", "connection", "accept-encoding"])
      headers.delete(name);
    const url = `${origin}${req.url}`;
    const signed = await new AwsV4Signer({ ...store, method: req.method, url, headers, service: "s3" }).sign();
    return { ...Object.fromEntries(signed.headers), host: req.headers.host! };
  }

  return {
    store: { ...store, endpoint: origin + target.pathname },
    seen,
    next: (...wrong) => void queue.push(...wrong),
    always: (wrong, whose) => {
      usual = wrong;
      when = whose;
    },
    async end() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
