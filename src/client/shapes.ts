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
const receipts = [{ receipt: "" }];
export const receivedShape = { deliveries: receipts };

const followed = { id: 0, cursor: "" };
/** Of a message of a socket, by its type, which is all that it may have; of those that are heard. */
export const messageShapes: Readonly<Record<string, Shape>> = {
  records: { ...pageShape, id: 0, cost: 0 },
  heartbeat: { ...followed, upToDate: true },
  end: followed,
  lost: { lost: [{ partition: 0, from: 0, to: 0 }] },
  snapshot: { ...placed, bytes: 0 },
  deliveries: receivedShape,
  refused: { refused: receipts },
  error: { code: "", detail: "" },
  split: {},
  ready: {},
};

/** Whether it has what the shape says. */
// biome-ignore lint/suspicious/noExplicitAny: what came may be anything.
export const fits = (value: any, shape: any): boolean =>
  kindOf(value) === kindOf(shape) &&
  !(shape === 0 && value < 0) &&
  (Array.isArray(shape)
    ? value.every((one: unknown) => fits(one, shape[0]))
    : Object.keys(Object(shape)).every((name) => fits(value[name], shape[name])));
