/** What a local service says when it is up: where it is, its token, and what to try, to be copied as it stands. */
import { developmentToken, isLoopback, tokenProblem } from "../src/cli/defaults.ts";
import { variable } from "./options.ts";

export function welcome(url: string, token: string): string {
  const isSecret = token !== developmentToken;
  // What is written to a terminal is written to logs.
  const auth = isSecret
    ? `-H "authorization: Bearer $MILLRACE_ROOT_TOKEN"`
    : `-H 'authorization: Bearer ${developmentToken}'`;
  return `
Millrace is up on ${url}      page: ${url}/${isSecret ? "" : `#token=${developmentToken}`}      reference: ${url}/docs
Token: ${isSecret ? "as MILLRACE_ROOT_TOKEN has it" : developmentToken}

Create a stream, append a record, read it back:

  curl ${auth} -X PUT ${url}/v1/default/streams/orders
  curl ${auth} ${url}/v1/default/streams/orders/records -H 'content-type: application/json' -d '{"records":[{"key":"customer-1","data":{"total":42}}]}'
  curl ${auth} '${url}/v1/default/streams/orders/records?key=customer-1'

Consume as a group, in order per key, again until it is acknowledged:

  curl ${auth} -X PUT ${url}/v1/default/streams/orders/groups/billing
  curl ${auth} ${url}/v1/default/streams/orders/groups/billing/receive -H 'content-type: application/json' -d '{"waitSeconds":5}'
`;
}

export const isPort = (text = ""): boolean => /^\d{1,5}$/.test(text) && Number(text) < 65_536;

/** The token of the environment, or on a loopback address the development one. Elsewhere there is no default. */
export function tokenFor(host: string): string {
  const token = variable("MILLRACE_ROOT_TOKEN") ?? (isLoopback(host) ? developmentToken : undefined);
  const problem = token === undefined ? undefined : tokenProblem(token);
  if (token !== undefined && problem === undefined) return token;
  if (problem === undefined) console.error(`Refusing to serve on ${host} without a token: set MILLRACE_ROOT_TOKEN.`);
  else console.error(`MILLRACE_ROOT_TOKEN: ${problem}.`);
  process.exit(1);
}
