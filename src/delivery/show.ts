/** Deliveries as members get them in JSON. */
import type { JsonWriter, Item as Shown } from "../log/json.ts";
import { deliveryId } from "./push.ts";

/** Writes one delivery: the record's fields, and what its lease adds. */
export function showDelivery(
  writer: JsonWriter,
  item: Shown,
  { groupId, partition }: { readonly groupId: string; readonly partition: number },
  receipt: string,
  attempt: number,
): void {
  const id = deliveryId(groupId, partition, item.offset);
  writer.record(item, partition, `,"receipt":"${receipt}","attempt":${attempt},"deliveryId":"${id}"`);
}
