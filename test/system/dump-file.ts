/** A dump's file in the hands of whoever sends its blocks by themselves. */
import { readFileSync } from "node:fs";
import { type Block, blockBytes, headerBytes, readBlock } from "../../src/archive/dump.ts";

export class Scan {
  readonly type = { "content-type": "application/vnd.millrace.dump" };
  readonly blocks: { readonly block: Block; readonly bytes: Uint8Array<ArrayBuffer> }[] = [];

  constructor(path: string) {
    const bytes = Uint8Array.from(readFileSync(path));
    for (let at = headerBytes; at < bytes.length; ) {
      const length = blockBytes(bytes, at);
      if (!length?.ok) throw new Error("the file is damaged");
      const block = readBlock(bytes, at, at + length.value);
      if (!block.ok) throw new Error(block.refusal.detail);
      this.blocks.push({ block: block.value, bytes: bytes.slice(at, at + length.value) });
      at += length.value;
    }
  }

  /** All blocks of these names, one after another. */
  body(...names: string[]): Uint8Array<ArrayBuffer> {
    const parts = this.blocks.filter(({ block }) => names.includes(block.name)).map(({ bytes }) => bytes);
    const body = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      body.set(part, at);
      at += part.length;
    }
    return body;
  }
}
