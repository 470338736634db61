/** What a local service says when it is up: where it is, its token, and what to try, to be copied as it stands. */
import { developmentToken, isLoopback } from "../src/cli/defaults.ts";

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
  const token = process.env.MILLRACE_ROOT_TOKEN;
  if (token) return token;
  // Of whoever meant a secret, the development token would make a service that is open to everybody.
  const isEmpty = token === "";
  if (!isEmpty && isLoopback(host)) return developmentToken;
  const unset = isEmpty && isLoopback(host) ? ", or unset it" : "";
  console.error(
    isEmpty
      ? `MILLRACE_ROOT_TOKEN is empty: give it a value${unset}.`
      : `Refusing to serve on ${host} without a token: set MILLRACE_ROOT_TOKEN.`,
  );
  process.exit(1);
}
