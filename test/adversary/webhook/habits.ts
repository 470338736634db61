/** What a receiver answers. It depends on the request and on what was there before of its records, and on no chance. */
import type { Answering, Reaction } from "../frame/receiver.ts";
import type { Failing, Habit, RetryAfter } from "./plan.ts";

/** What the service may take the answer for. `unsure`: the guide does not say, or the answer may have come too late. */
export type Outcome = "ok" | "fail" | "lost" | "unsure" | "busy" | "gone" | "open";

export interface Decision {
  readonly reaction: Reaction;
  readonly outcome: Outcome;
  /** Of `busy`: so long the receiver is to be left alone, at least. */
  readonly waitMs?: number;
}

/** A record of the request, and how often it was there before. */
export interface Seen {
  readonly place: string;
  readonly key: number | null;
  readonly before: number;
}

const good: Decision = { reaction: { status: 204 }, outcome: "ok" };

/** A number in [0, 1) that is the record's for ever. */
export function share(place: string): number {
  let hash = 2166136261;
  for (const character of place) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
  return (hash >>> 0) / 2 ** 32;
}

export function decide(habit: Habit, seen: readonly Seen[], timeoutMs: number): Decision {
  switch (habit.kind) {
    case "good":
    case "idle":
    case "away":
    case "no-handshake":
      return good;
    case "poisoned":
      return seen.some(({ key }) => key !== null && key < habit.keys) ? failing(habit.by) : good;
    case "flaky":
      return seen.some(({ place, before }) => share(place) < habit.share && before < habit.times)
        ? failing(habit.by)
        : good;
    case "losing":
      return seen.some(({ place, before }) => share(place) < habit.share && before === 0)
        ? { reaction: "reset", outcome: "lost" }
        : good;
    case "late":
      return seen.some(({ place, before }) => share(place) < habit.share && before === 0)
        ? { reaction: { status: 204, afterMs: timeoutMs + habit.ms }, outcome: "unsure" }
        : good;
    default:
      return always(habit, timeoutMs);
  }
}

function always(habit: Habit, timeoutMs: number): Decision {
  switch (habit.kind) {
    case "slow":
      return { reaction: { status: 200, body: "late", afterMs: Math.min(habit.ms, timeoutMs / 4) }, outcome: "ok" };
    case "slow-body":
      return { reaction: { status: 200, body: "slow", bodyAfterMs: habit.ms }, outcome: "unsure" };
    case "huge-body":
      return { reaction: { status: 200, body: Buffer.alloc(3_000_000, "huge ") }, outcome: "unsure" };
    case "down":
      return failing(habit.by);
    case "gone":
      return { reaction: { status: 410 }, outcome: "gone" };
    case "busy":
      return busy(habit.status, habit.retryAfter);
    default:
      return good;
  }
}

function failing(by: Failing): Decision {
  if (by === "hang") return { reaction: "hang", outcome: "fail" };
  if (by === "reset") return { reaction: "reset", outcome: "lost" };
  if (by === "garbage") return { reaction: "garbage", outcome: "lost" };
  const headers: Record<string, string> = by === "302" ? { location: "/trap" } : {};
  return { reaction: { status: Number(by), headers, body: `no: ${by}` }, outcome: "fail" };
}

const ownPauseMs = 1000;

function busy(status: 429 | 503, form: RetryAfter | undefined): Decision {
  const { text, waitMs } = retryAfter(form);
  const answering: Answering = { status, headers: text === undefined ? {} : { "retry-after": text } };
  const nonsense = form === undefined || form === "-1" || form === "7, 9" || form === "soon";
  // As if absent: a 503 is then a failure like any other.
  if (status === 503 && nonsense) return { reaction: answering, outcome: "fail" };
  return { reaction: answering, outcome: "busy", waitMs: Math.max(waitMs, ownPauseMs) };
}

/** The header's text, and for how long it asks at least. */
function retryAfter(form: RetryAfter | undefined): { text: string | undefined; waitMs: number } {
  const now = Date.now();
  const soon = new Date(Math.ceil(now / 1000) * 1000 + 1000);
  switch (form) {
    case undefined:
      return { text: undefined, waitMs: 0 };
    case "imf":
      return { text: soon.toUTCString(), waitMs: soon.getTime() - now };
    case "rfc850":
      return { text: rfc850(soon), waitMs: soon.getTime() - now };
    case "asctime":
      return { text: asctime(soon), waitMs: soon.getTime() - now };
    case "past":
      return { text: new Date(now - 60_000).toUTCString(), waitMs: 0 };
    case "1":
    case "2":
      return { text: form, waitMs: Number(form) * 1000 };
    case "9999999999":
      return { text: form, waitMs: 3_600_000 };
    default:
      return { text: form, waitMs: 0 };
  }
}

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

function rfc850(date: Date): string {
  const [, day, month, year, time] = date.toUTCString().split(/[ ,]+/) as [string, string, string, string, string];
  return `${days[date.getUTCDay()]}, ${day}-${month}-${year.slice(2)} ${time} GMT`;
}

function asctime(date: Date): string {
  const [name, day, month, year, time] = date.toUTCString().split(/[ ,]+/) as [string, string, string, string, string];
  return `${name} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`;
}
