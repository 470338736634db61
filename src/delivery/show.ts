/** Deliveries as members get them in JSON. */
import { encodeText } from "../lib/bytes.ts";
import type { Item, JsonWriter, Members } from "../log/json.ts";
import { deliveryId } from "./push-request.ts";
import { type Receipt, ReceiptWriter } from "./receipt.ts";

const receiptName = encodeText(',"receipt":"');
const attemptName = encodeText('","attempt":');

/** Writes the deliveries of one partition: each record's fields, and what its lease adds. */
export class DeliveryWriter implements Members {
  readonly #receipts: ReceiptWriter;
  readonly #partition: number;
  readonly #idName: Uint8Array;
  readonly #lease = { offset: 0, generation: 0, tag: 0 };
  #attempt = 0;

  constructor({ groupId, partition, era }: { readonly groupId: string } & Pick<Receipt, "partition" | "era">) {
    this.#receipts = new ReceiptWriter({ partition, era });
    this.#partition = partition;
    this.#idName = encodeText(`,"deliveryId":"${deliveryId(groupId, partition, "")}`);
  }

  delivery(writer: JsonWriter, item: Item, generation: number, tag: number, attempt: number): void {
    this.#lease.offset = item.offset;
    this.#lease.generation = generation;
    this.#lease.tag = tag;
    this.#attempt = attempt;
    writer.record(item, this.#partition, this);
  }

  write(writer: JsonWriter): void {
    writer.copy(receiptName);
    this.#receipts.write(writer, this.#lease);
    writer.copy(attemptName).digits(this.#attempt).copy(this.#idName).digits(this.#lease.offset).copy(quote);
  }
}

const quote = encodeText('"');
