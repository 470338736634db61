/** Records go in, each by its way, and what is answered is compared with what the documents say. */
import type { Round } from "../frame/round.ts";
import type { Draft, Field, Odd, Way } from "./plan.ts";
import type { Refusal, Reply, Stored } from "./reply.ts";
import { replyOf } from "./reply.ts";
import { type Verdict, verdict } from "./rules.ts";
import { SocketDoor } from "./socket-door.ts";
import { byteLength, plain } from "./values.ts";
import { hasOddType, type Made, made } from "./want.ts";
import { jsonRecord, messageOf, requestOf, single } from "./ways-in.ts";

/** A record that was stored. */
export interface Kept {
  readonly draft: Draft;
  readonly made: Made;
  readonly place: string;
}

export interface Store {
  readonly round: Round;
  readonly path: string;
  readonly byPlace: Map<string, Kept>;
}

const abreast = 6;
/** Records beside those that are tried, so that a refusal has something to spare, or to refuse. */
const beside = 1_000_000;

export class Feed {
  readonly #sockets: Record<"socket" | "socket-frames", SocketDoor>;

  constructor(readonly store: Store) {
    const { round, path } = store;
    this.#sockets = {
      socket: new SocketDoor(round, path, false),
      "socket-frames": new SocketDoor(round, path, true),
    };
  }

  async run(drafts: readonly Draft[]): Promise<void> {
    const bySocket = (way: Way) => drafts.filter((draft) => draft.way === way);
    const others = drafts.filter(({ way }) => !(way in this.#sockets));
    const worker = async (list: Draft[]) => {
      for (let next = list.shift(); next !== undefined; next = list.shift()) await this.#one(next);
    };
    try {
      await Promise.all([
        worker(bySocket("socket")),
        worker(bySocket("socket-frames")),
        ...Array.from({ length: abreast }, () => worker(others)),
      ]);
    } finally {
      this.close();
    }
  }

  close(): void {
    for (const door of Object.values(this.#sockets)) door.close();
  }

  async #one(draft: Draft): Promise<void> {
    const wanted = expected(draft);
    const alone = single.has(draft.way) || wanted === "yes";
    const drafts = alone ? [draft] : [companion(draft), draft];
    const reply = await this.send(draft, drafts);
    this.#judge(draft, drafts, wanted, reply);
  }

  async send(draft: Draft, drafts: readonly Draft[]): Promise<Reply> {
    const list = drafts.map(made);
    const { way, escaped } = draft;
    if (way === "socket" || way === "socket-frames") {
      return this.#sockets[way].append((id) => messageOf(way, id, list, escaped));
    }
    const { query, headers, body } = requestOf(way, list, escaped);
    const path = `${this.store.path}/records?verdicts=each${query}`;
    const answer = await this.store.round.call("POST", path, { headers, body });
    const { checks } = this.store.round;
    checks.that(
      "never-5xx",
      answer.status < 500,
      () => `${words(draft)} was answered ${answer.status}: ${answer.body}`,
    );
    return replyOf(answer);
  }

  #judge(draft: Draft, drafts: readonly Draft[], wanted: Verdict, reply: Reply): void {
    const { round } = this.store;
    const { stored, refusal } = reply;
    const about = [`${draft.n}`];
    const answer = () =>
      refusal === undefined ? "it was taken" : `${refusal.status} ${refusal.code}: ${refusal.detail}`;
    round.history.note(about, () => `${words(draft)}: ${answer()}`);
    const said = () => `${words(draft)}: ${answer()}`;
    round.checks.that("allowed", wanted !== "yes" || stored !== undefined, said, about);
    round.checks.that("forbidden", wanted !== "no" || refusal !== undefined, said, about);
    if (refusal !== undefined) this.#refused(draft, drafts, refusal, said);
    else this.#stored(draft, drafts, stored ?? []);
  }

  #stored(draft: Draft, drafts: readonly Draft[], stored: readonly Stored[]): void {
    const { round } = this.store;
    const about = [`${draft.n}`];
    round.checks.that(
      "verdicts",
      stored.length === drafts.length,
      () => `${words(draft)}: ${stored.length} verdicts`,
      about,
    );
    for (const [i, { verdict: came, place }] of stored.entries()) {
      round.checks.that(
        "distinct",
        came === "appended",
        () => `${words(draft)} is a ${came} of ${place}, and is none`,
        about,
      );
      const one = drafts[i] as Draft;
      const before = this.store.byPlace.get(place);
      round.checks.that(
        "distinct",
        before === undefined,
        () => `${words(one)} has the place ${place} of ${words((before as Kept).draft)}`,
        about,
      );
      this.store.byPlace.set(place, { draft: one, made: made(one), place });
    }
  }

  #refused(draft: Draft, drafts: readonly Draft[], refusal: Refusal, said: () => string): void {
    const { checks } = this.store.round;
    const about = [`${draft.n}`];
    const { status, formed, clean, detail } = refusal;
    const isRefusal = (status >= 400 && status < 500) || status === 1008 || status === 1009;
    checks.that("problem", isRefusal && formed && clean !== false, said, about);
    if (status === 1009) return;
    checks.that("named", names(draft, detail), said, about);
    if (drafts.length > 1) checks.that("placed", places(draft, drafts[0] as Draft, detail), said, about);
  }
}

/** What tells the reader which field is meant. */
const namesOf: Readonly<Record<Field, RegExp>> = {
  key: /key/,
  id: /\bid\b/,
  source: /source/,
  type: /type/,
  subject: /subject/,
  time: /time/,
  datacontenttype: /content[- ]?type/i,
  dataschema: /dataschema/,
  tags: /tag/,
  // Where the name stands alone, it does so in quotes. One means data, in an event.
  name: /extension|attribute|header|^: '|data_base64/,
  value: /odd\d|extension/,
};

/** The place in the text of the body, or a size, is as good as a name. */
const position = /(?:column|byte|position) \d+|\.{3}"|has more than/;
const size = /^record \d+ has \d+ bytes/;

/** The record behind the one that is beside it; lines are counted from one. */
const second = /^(?:records\.1|record 1|event 1|(?:record on )?line 2)\b/;

const whose = /^(?:records\.\d+|record \d+|event \d+|event|(?:record on )?line \d+)/;

function names(draft: Draft, detail: string): boolean {
  if (position.test(detail) || size.test(detail)) return true;
  const words = detail.replace(whose, "");
  if (draft.odd.some(({ field }) => namesOf[field].test(words))) return true;
  return draft.data !== undefined && /\bdata\b|\bbody\b|content type/.test(words);
}

/** Of a record among several its number is told; of a mistake in the text, the place in it, which is not in the other. */
function places({ way }: Draft, before: Draft, detail: string): boolean {
  if (second.test(detail)) return true;
  if (way === "ndjson" || !position.test(detail)) return false;
  const [, column] = /\bline 1,? column (\d+)/.exec(detail) ?? [];
  return column === undefined || Number(column) > jsonRecord(made(before), false).length;
}

/** `yes` where all of it is. */
export function expected(draft: Draft): Verdict {
  const all: Verdict[] = draft.odd.map(({ field, value }) => verdictBy(draft, field, value));
  const { data, bytes } = made(draft);
  // The odd content type may call them what they are not.
  if (hasOddType(draft) && (data.kind !== "json" || bytes.startsWith('"'))) all.push("either");
  if (data.wrong) all.push(draft.way === "frames" || draft.way === "socket-frames" ? "either" : "no");
  return all.includes("no") ? "no" : all.includes("either") ? "either" : "yes";
}

function verdictBy(draft: Draft, field: Field, value: Odd["value"]): Verdict {
  const text = plain(value);
  // The platform puts this character there itself, for bytes that are no UTF-8.
  if (draft.way === "binary" && !draft.escaped && field !== "datacontenttype" && text?.includes("\ufffd")) return "no";
  const found = verdict(field, value, draft.way);
  // The names of what a push adds mean that, in an event.
  const event = draft.way === "structured" || draft.way === "batch" || draft.way === "binary";
  if (event && field === "name" && text?.startsWith("millrace") && /^[a-z0-9]+$/.test(text)) return "yes";
  return found;
}

const companion = (draft: Draft): Draft => ({ n: beside + draft.n, way: draft.way, escaped: false, odd: [] });

/** A draft in words. */
export function words({ n, way, escaped, odd, data }: Draft): string {
  const fields = odd.map(({ field, value }) => `${field} ${shown(value)}`);
  if (data !== undefined) fields.push(`data ${data}`);
  return `${n} by ${way}${escaped ? " escaped" : ""}, ${fields.join(" and ") || "an ordinary record"}`;
}

const shown = (value: Odd["value"]): string => {
  if (value.bytes !== undefined) return `${value.name} (bytes ${value.bytes})`;
  if (byteLength(value) > 80) return `${value.name} (${byteLength(value)} bytes)`;
  return `${value.name} (${value.json ?? JSON.stringify(plain(value))})`;
};
