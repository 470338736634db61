/**
 * What answers and messages have to have. Something in between (a proxy, a sign-in page) may answer anything, with any status:
 * what has not the members of its kind is no answer. A shape is the least that it may be: an object with such members, a list
 * of such items, any text, any truth, any number from zero on.
 */
import { kindOf } from "./json.ts";

/** `undefined`: nothing, which is the answer 204. */
export type Shape = Readonly<Record<string, unknown>> | undefined;

/** Of a snapshot, too. */
export const placed = { partition: 0, offset: 0 };
export const pageShape = { cursor: "", upToDate: true, records: [placed] };
export const runsShape = { runs: [{ count: 0 }] };
export const streamShape = { logId: "", config: {} };
export const groupShape = { config: {} };
export const factsShape = { tail: 0 };
export const settledShape = { settled: 0 };
export const receivedShape = { deliveries: [{ receipt: "" }] };

/** Of a message of a socket: of those that are more than a word, by their types. */
export const messageShapes: Readonly<Record<string, Shape>> = { records: pageShape, deliveries: receivedShape };
export const messageShape = { type: "" };
export const rejectionShape = { reason: "" };

/** Whether it has what the shape says. */
// biome-ignore lint/suspicious/noExplicitAny: what came may be anything.
export const fits = (value: any, shape: any): boolean =>
  kindOf(value) === kindOf(shape) &&
  !(shape === 0 && value < 0) &&
  (Array.isArray(shape)
    ? value.every((one: unknown) => fits(one, shape[0]))
    : Object.keys(Object(shape)).every((name) => fits(value[name], shape[name])));
