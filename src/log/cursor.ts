/**
 * A cursor says where a read goes on: the log's id, and an offset for each partition. Opaque to clients. As text:
 * `<log id>~<partition>.<offset>~…`, numbers in base 36.
 */
export interface Cursor {
  readonly logId: string;
  readonly offsets: ReadonlyMap<number, number>;
}

/** It names at least one partition: a log's id by itself may be all digits, which are an offset. */
const pattern = /^[0-9a-f]{20}(~[0-9a-z]{1,7}\.[0-9a-z]{1,11})+$/;

export function writeCursor({ logId, offsets }: Cursor): string {
  const parts = [...offsets].map(([partition, offset]) => `~${partition.toString(36)}.${offset.toString(36)}`);
  return logId + parts.join("");
}

/** Undefined where the text is no cursor. */
export function readCursor(text: string): Cursor | undefined {
  if (!pattern.test(text)) return undefined;
  const [logId, ...parts] = text.split("~");
  const offsets = parts.map((part) => {
    const [partition, offset] = part.split(".").map((number) => Number.parseInt(number, 36));
    return [partition, offset] as const;
  });
  return offsets.every(([, offset]) => Number.isSafeInteger(offset)) ? { logId, offsets: new Map(offsets) } : undefined;
}
