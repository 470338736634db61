/** The live page: streams, what flows through one, a record of one's own, and how far its groups are. */
import { Millrace, MillraceError, type StoredRecord, type Stream } from "../client/index.ts";
import { withText } from "../client/options.ts";
import { shown, typed } from "./records.ts";

const rowsMax = 200;
const statusMs = 2_000;
const tokenName = "millrace-token";

const find = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const input = (id: string) => find<HTMLInputElement>(id);

let millrace: Millrace | undefined;
/** Ends what belongs to the stream that is shown. */
let followed: AbortController | undefined;

function say(id: "state" | "answer", text: string, error = false): void {
  const element = find(id);
  element.textContent = text;
  element.classList.toggle("error", error);
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function connect(): Promise<void> {
  const token = input("token").value;
  followed?.abort();
  find("stream").hidden = true;
  find("groups").hidden = true;
  const namespace = input("namespace").value;
  millrace = new Millrace({ url: location.origin, token, namespace, retry: { attempts: 3 }, parse: withText });
  try {
    await listStreams();
    // For this tab only: it is gone when it is closed.
    sessionStorage.setItem(tokenName, token);
    find("main").hidden = false;
    say("state", "");
  } catch (error) {
    find("main").hidden = true;
    say("state", reasonOf(error), true);
  }
}

async function listStreams(): Promise<void> {
  const items: HTMLElement[] = [];
  for await (const { stream } of (millrace as Millrace).streams()) {
    const button = document.createElement("button");
    button.textContent = stream;
    button.dataset.stream = stream;
    button.addEventListener("click", () => show(stream));
    const item = document.createElement("li");
    item.append(button);
    items.push(item);
  }
  find("streams").replaceChildren(...items);
}

function show(name: string): void {
  followed?.abort();
  followed = new AbortController();
  const { signal } = followed;
  for (const button of document.querySelectorAll<HTMLElement>("[data-stream]")) {
    button.setAttribute("aria-current", String(button.dataset.stream === name));
  }
  find("title").textContent = name;
  find("stream").hidden = false;
  find("groups").hidden = true;
  find("records").querySelector("tbody")?.replaceChildren();
  say("answer", "");
  const stream = (millrace as Millrace).stream(name);
  void follow(stream, signal);
  void watchGroups(stream, signal);
}

async function follow(stream: Stream, signal: AbortSignal): Promise<void> {
  try {
    // The last of all: a page is small.
    for await (const records of stream.follow({ from: `-${rowsMax / 4}`, signal }).batches()) showRecords(records);
  } catch (error) {
    if (!signal.aborted) say("answer", reasonOf(error), true);
  }
}

/** The newest is on top. */
function showRecords(records: readonly StoredRecord[]): void {
  const body = find("records").querySelector("tbody") as HTMLTableSectionElement;
  for (const record of records.slice(-rowsMax)) {
    const { partition, offset, timestamp, key = "" } = record;
    const row = document.createElement("tr");
    for (const cell of [
      `${partition}.${offset}`,
      new Date(timestamp).toLocaleTimeString(),
      key,
      shown(record).slice(0, 2_000),
    ]) {
      row.append(Object.assign(document.createElement("td"), { textContent: cell }));
    }
    body.prepend(row);
  }
  while (body.rows.length > rowsMax) body.rows[body.rows.length - 1].remove();
}

async function watchGroups(stream: Stream, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const names: string[] = [];
      for await (const { group } of stream.groups()) names.push(group);
      const rows = await Promise.all(
        names.map(async (group) => {
          const { lag, inFlight, deadLetters } = await stream.group(group).status();
          const row = document.createElement("tr");
          for (const cell of [group, lag, inFlight, deadLetters]) {
            row.append(Object.assign(document.createElement("td"), { textContent: String(cell) }));
          }
          return row;
        }),
      );
      if (signal.aborted) return;
      find("groups").hidden = rows.length === 0;
      find("groups")
        .querySelector("tbody")
        ?.replaceChildren(...rows);
    } catch (error) {
      if (error instanceof MillraceError && !error.retryable) return;
    }
    await new Promise((resolve) => setTimeout(resolve, statusMs));
    // A tab in the background asks nothing.
    while (document.hidden && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, statusMs));
  }
}

find("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  void connect();
});

find("create").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = input("name").value;
  try {
    await (millrace as Millrace).stream(name).put();
    input("name").value = "";
    await listStreams();
    show(name);
    say("state", "");
  } catch (error) {
    say("state", reasonOf(error), true);
  }
});

find("append").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const stream = (millrace as Millrace).stream(find("title").textContent as string);
    const placed = await stream.append(typed(input("data").value, input("key").value));
    input("data").value = "";
    say("answer", `appended as ${placed.partition}.${placed.offset}`);
  } catch (error) {
    say("answer", reasonOf(error), true);
  }
});

/** A fragment is not sent to the server; it is taken out of the address, so that it is not shared with a link. */
const given = new URLSearchParams(location.hash.slice(1)).get("token") ?? sessionStorage.getItem(tokenName);
if (location.hash !== "") history.replaceState(null, "", location.pathname);
if (given !== null) {
  input("token").value = given;
  void connect();
}
