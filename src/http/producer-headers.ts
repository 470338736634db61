/** Who sends a batch, and under which number, as its headers say. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { producerHeaders } from "../../schemas/record.ts";
import { check } from "../lib/check.ts";

export type Producer = { id: string; epoch: number; sequence: number };

export function producerOf(headers: Headers): Result<Producer | undefined> {
  const id = headers.get("producer-id");
  const epoch = headers.get("producer-epoch");
  const sequence = headers.get("producer-seq");
  if (id === null && epoch === null && sequence === null) return ok(undefined);
  if (id === null || epoch === null || sequence === null) {
    return refuse("invalid", "headers: Producer-Id, Producer-Epoch and Producer-Seq go together; send all three");
  }
  // What the platform puts for bytes that are no UTF-8. Names that differ in nothing else would share their numbers.
  if (id.includes("\ufffd")) return refuse("invalid", "headers: Producer-Id: must be UTF-8", { path: "producer-id" });
  return check(producerHeaders, { id, epoch, sequence }, "headers: Producer");
}
