/**
 * The Host of a request. A server on its own puts the URL together from the header and the target, unseen: a Host that has more than
 * a host in it would become a part of the path, past whoever lets paths through, and one that is none would throw wherever the URL
 * is read.
 */
import type { Refusal } from "../../schemas/errors.ts";

const bad: Refusal = {
  code: "bad-host",
  detail:
    "the Host, and a target that follows it, must be a name or an address, and a port below 65536 if there is one",
};

/** The Host of the last request that was good, and how its URL began: nearly every request has the same. */
let known = { host: "", begins: "" };

/** What is wrong with it, if anything is: to be asked before the URL is read. */
export function hostProblem({ url, headers }: Request): Refusal | undefined {
  const host = headers.get("host");
  if (host === known.host && url.startsWith(known.begins)) return undefined;
  if ((host !== null && !isHost(host)) || !URL.canParse(url)) return bad;
  const path = url.indexOf("/", url.indexOf("//") + 2);
  if (host !== null && path > 0) known = { host, begins: url.slice(0, path + 1) };
  return undefined;
}

const isHost = (host: string): boolean => !/[\s/?#@\\]/.test(host) && URL.canParse(`http://${host}`);
