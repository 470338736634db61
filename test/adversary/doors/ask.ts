/** A request as data. */
import type { Answer } from "../frame/http.ts";
import type { Store } from "./feed.ts";
import type { Binary } from "./values.ts";

export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Binary;
}

/** As bytes: with a text, Node writes the head in UTF-8. */
export const sent = (store: Store, { method, path, headers, body }: Ask): Promise<Answer> =>
  store.round.call(method, path, {
    ...(headers && { headers }),
    ...(body !== undefined && { body: Buffer.from(body, "latin1") }),
  });
