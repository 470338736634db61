/** What comes to a client bit by bit, cut into what it means: events, and messages of a socket. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/** Each with the empty line that ends it. */
export async function* eventsOf(coming: IncomingMessage): AsyncGenerator<Buffer> {
  let rest = "";
  for await (const piece of coming) {
    rest += (piece as Buffer).toString("latin1");
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      yield Buffer.from(rest.slice(0, end + 2), "latin1");
      rest = rest.slice(end + 2);
    }
  }
}

const text = 1;
const binary = 2;

/** Takes what the service says on a socket, the head of its answer first, and passes it on with other messages. */
export function toldMessages(change: (said: Buffer) => Buffer, to: Socket): (piece: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let opened = false;
  return (piece) => {
    rest = Buffer.concat([rest, piece]);
    if (!opened) {
      const end = rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      opened = true;
      to.write(rest.subarray(0, end + 4));
      rest = rest.subarray(end + 4);
    }
    for (let frame = frameIn(rest); frame !== undefined; frame = frameIn(rest)) {
      const { opcode, payload, size } = frame;
      to.write(opcode === text || opcode === binary ? written(opcode, change(payload)) : rest.subarray(0, size));
      rest = rest.subarray(size);
    }
  };
}

/** The first one, if all of it is there. Nothing is masked on this way; messages come in one frame each. */
function frameIn(bytes: Buffer): { opcode: number; payload: Buffer; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const [first, second] = bytes as unknown as [number, number];
  const more = second === 127 ? 8 : second === 126 ? 2 : 0;
  if (bytes.length < 2 + more) return undefined;
  const length = more === 0 ? second : Number(more === 2 ? bytes.readUInt16BE(2) : bytes.readBigUInt64BE(2));
  const size = 2 + more + length;
  if (bytes.length < size) return undefined;
  return { opcode: first & 15, payload: bytes.subarray(2 + more, size), size };
}

function written(opcode: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head[0] = 0x80 | opcode;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}
