/** Requests whose body, or whose head, is odd. */
import { right, sentOf } from "./asking.ts";
import { bodyForms, type Form, headerForms } from "./forms.ts";
import type { BodyAttack, HeaderAttack } from "./plan.ts";
import { at, nameOf, type Operation } from "./reference.ts";
import type { Siege } from "./siege.ts";
import type { Sent } from "./wire.ts";

/** A request of another method is another operation, or none; a GET answers a HEAD too. */
function operationOf(siege: Siege, operation: Operation, { method }: Sent): Operation | undefined {
  if (method === operation.method) return operation;
  const asked = method === "HEAD" ? "GET" : method;
  return siege.known.operations.find((one) => one.path === operation.path && one.method === asked);
}

async function formed(siege: Siege, operation: Operation, name: string, form: Form): Promise<void> {
  const sent = form(sentOf(operation, right(operation, siege.ground), siege.bearer));
  const words = `${nameOf(operation)}, ${name}`;
  const meant = operationOf(siege, operation, sent);
  // A handshake that lacks the rest of it.
  const platform = name === "half a socket" && { platform: 426 };
  const asked = { method: sent.method, words, ...(meant !== undefined && { operation: meant }), ...platform };
  const answer = await siege.ask(sent, asked);
  if (answer.status >= 400 || ["GET", "HEAD", "OPTIONS"].includes(sent.method)) {
    if (answer.json?.clean !== false) siege.refused(words);
  } else await siege.changed(meant);
}

export async function oddBody(siege: Siege, { operation, form }: BodyAttack): Promise<void> {
  const bodied = siege.known.operations.filter(({ bodyTypes }) => bodyTypes.length > 0);
  await formed(siege, at(bodied, operation, nameOf), form, bodyForms[form] as Form);
}

export async function oddHeader(siege: Siege, { operation, form }: HeaderAttack): Promise<void> {
  await formed(siege, at(siege.known.operations, operation, nameOf), form, headerForms[form] as Form);
}
