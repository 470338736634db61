/** Ways out by webhook, in the three formats of CloudEvents, to a receiver of our own. */
import { type Received, Receiver } from "../frame/receiver.ts";
import type { Store } from "./feed.ts";
import { Look } from "./look.ts";
import { items, members, parsed } from "./raw-json.ts";
import { type Seen, type Shown, shownIn } from "./seen.ts";
import { putGroup } from "./taking.ts";
import { type Binary, bytesOf } from "./values.ts";

export type Format = "binary" | "structured" | "batch";

/** What a record lacks is made up from its place. */
const madeUp = new Set(["id", "source", "type", "time", "datacontenttype"]);
const hop = new Set(["specversion", "millracepartition", "millraceoffset", "millraceattempt"]);
const fieldOf = new Map([
  ["partitionkey", "key"],
  ...["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"].map((name) => [name, name] as const),
]);

export async function pushed(store: Store, format: Format): Promise<void> {
  const look = new Look(store, `push-${format}`, { madeUp });
  let failure: unknown;
  const fail = (error: unknown) => {
    failure ??= error;
    for (const place of look.wanted.keys()) look.seen.add(place); // Nobody need wait any longer.
  };
  const receiver = new Receiver((request) => {
    try {
      for (const seen of eventsOf(request, format)) look.take(seen, true);
    } catch (error) {
      fail(error);
    }
    return { reaction: { status: 204 } };
  }, fail);
  await receiver.open();
  try {
    const push = { url: `${receiver.url}/hook`, format, concurrency: 6, timeoutMs: 20_000 };
    await putGroup(store, `push-${format}`, { order: "none", maxInFlight: 1000, push });
    await look.whole();
    if (failure !== undefined) throw failure;
    await store.round.must("DELETE", `${store.path.slice(`/v1/${store.round.name}`.length)}/groups/push-${format}`);
  } finally {
    receiver.close();
  }
}

function eventsOf(request: Received, format: Format): Seen[] {
  if (format === "binary") return [binaryEvent(request)];
  const body = request.body.toString("latin1");
  return (format === "batch" ? items(body) : [body]).map(event);
}

/** A text of JSON, or another value of it, as a text. */
const textual = (json: Binary): Binary => {
  const value = parsed(json);
  return typeof value === "string" ? bytesOf({ name: "", text: value }) : json.trim();
};

function event(json: Binary): Seen {
  const found = members(json);
  const data = shownIn(found);
  found.delete("data");
  found.delete("data_base64");
  return seenEvent(new Map([...found].map(([name, value]) => [name, textual(value)])), data);
}

/** Headers come as bytes, with all that is not plain percent-encoded. */
function binaryEvent({ headers, body }: Received): Seen {
  const attributes = new Map<string, Binary>();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith("ce-")) attributes.set(name.slice(3), decoded(String(value)));
  }
  if (headers["content-type"] !== undefined) attributes.set("datacontenttype", headers["content-type"]);
  return seenEvent(attributes, { form: "bytes", bytes: body.toString("latin1") });
}

const decoded = (text: string): Binary =>
  text.replace(/%([0-9a-fA-F]{2})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));

function seenEvent(attributes: ReadonlyMap<string, Binary>, data: Shown): Seen {
  const fields = new Map<string, Binary>();
  const extensions = new Map<string, Binary>();
  for (const [name, value] of attributes) {
    const field = fieldOf.get(name);
    if (field !== undefined) fields.set(field, value);
    else if (!hop.has(name) && name !== "tags") extensions.set(name, value);
  }
  const tags = attributes.get("tags")?.split(",") ?? [];
  return {
    place: `${attributes.get("millracepartition")}.${attributes.get("millraceoffset")}`,
    fields,
    tags: tags.map((tag) => tag.replace(/%(2C|25)/gi, (_, code) => (code === "25" ? "%" : ","))),
    extensions,
    textual: true,
    data,
    others: new Map(),
  };
}
