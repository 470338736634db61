/** Ways out of a stream that go on by themselves: events, and sockets of both forms. */
import type { IncomingMessage } from "node:http";
import { WebSocketClient } from "../frame/web-socket.ts";
import type { Store } from "./feed.ts";
import { unpackedMessage } from "./frames.ts";
import { Look } from "./look.ts";
import { items, members, parsed } from "./raw-json.ts";
import { seenIn, seenInFrame } from "./seen.ts";
import { type Binary, binaryOf } from "./values.ts";

export async function events(store: Store): Promise<void> {
  const look = new Look(store, "events", { oneLine: true });
  const headers = { accept: "text/event-stream" };
  const answer = await store.round.http.open("GET", `${store.path}/records?from=earliest`, { headers });
  const listening = listen(answer, (data) => look.take(seenIn(data)));
  listening.catch(() => {});
  try {
    await Promise.race([look.whole(), listening]);
    look.complete();
  } finally {
    answer.destroy();
  }
}

/** As browsers do it: lines end with CR LF, LF or CR, an empty one ends an event. */
async function listen(answer: IncomingMessage, take: (data: Binary) => void): Promise<void> {
  let rest: Binary = "";
  let event = "";
  let data: Binary[] = [];
  answer.setEncoding("latin1");
  for await (const chunk of answer) {
    const found: Binary[] = (rest + chunk).split(/\r\n|\n|\r(?!\n|$)/);
    rest = found.pop() ?? "";
    for (const line of found) {
      if (line === "") {
        if (event === "" && data.length > 0) take(data.join("\n"));
        event = "";
        data = [];
      } else if (line.startsWith("event: ")) event = line.slice(7);
      else if (line.startsWith("data: ")) data.push(line.slice(6));
    }
  }
}

interface Following {
  readonly protocol: string;
  text(message: Map<string, Binary>): void;
  binary?(bytes: Buffer): void;
}

/** Gives credits as they are used up, and takes what comes until it is all there. */
async function follow(store: Store, look: Look, { protocol, text, binary }: Following): Promise<void> {
  const { service } = store.round;
  let failed: (error: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  failure.catch(() => {});
  const guarded = (take: () => void) => {
    try {
      take();
    } catch (error) {
      failed(error);
    }
  };
  const client = await WebSocketClient.open(`${service.origin}${store.path}/live`, {
    headers: { authorization: `Bearer ${service.token}` },
    protocols: [protocol],
    onText: (message) => guarded(() => text(members(binaryOf(message)))),
    ...(binary && { onBinary: (bytes: Buffer) => guarded(() => binary(bytes)) }),
    onClose: (code, reason) => failed(new Error(`the socket was closed with ${code}: ${reason}`)),
  });
  try {
    client.send('{"type":"subscribe","id":1,"from":"earliest","credits":10000}');
    await Promise.race([look.whole(), failure]);
  } finally {
    client.close();
  }
}

function isRecords(store: Store, message: Map<string, Binary>): boolean {
  const type = parsed(message.get("type") as Binary);
  const wrong = type === "error" || type === "lost";
  store.round.checks.that("readable", !wrong, () => `a socket says ${JSON.stringify([...message])}`);
  return type === "records";
}

export function socket(store: Store): Promise<void> {
  const look = new Look(store, "socket");
  return follow(store, look, {
    protocol: "millrace.v1",
    text: (message) => {
      if (!isRecords(store, message)) return;
      for (const record of items(message.get("records") as Binary)) look.take(seenIn(record));
    },
  });
}

export function socketFrames(store: Store): Promise<void> {
  const look = new Look(store, "socket-frames");
  return follow(store, look, {
    protocol: "millrace.v1.binary",
    text: (message) => void isRecords(store, message),
    binary: (bytes) => {
      const { partition, records } = unpackedMessage(bytes);
      for (const record of records) look.take(seenInFrame(record, partition));
    },
  });
}
