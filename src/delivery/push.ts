/** Pushing over HTTP: what an answer means, and which targets may be called. Pure. */
import ipaddr from "ipaddr.js";
import type { PushTarget } from "../../schemas/push.ts";

/** What an answer means for the records, and for the receiver. */
export type Outcome =
  | { readonly is: "done" }
  /** 410: nothing more is to be sent. */
  | { readonly is: "gone" }
  /** The receiver has too much to do, and the records are not to blame; for so long, where it says that. */
  | { readonly is: "busy"; readonly afterMs: number | undefined; readonly reason: string }
  | { readonly is: "failed"; readonly reason: string };

/** Whether requests go to the same place, with the same credentials: what one answers is said of the other too. */
export function isSameReceiver(a: PushTarget | null, b: PushTarget | null): boolean {
  const told = (target: PushTarget | null) => JSON.stringify(target && [target.url, target.headers, target.secrets]);
  return told(a) === told(b);
}

const busyMsMax = 3_600_000;

export function outcomeOf(status: number, retryAfter: string | null, now: number): Outcome {
  if (status >= 200 && status < 300) return { is: "done" };
  if (status === 410) return { is: "gone" };
  const afterMs = retryAfterMs(retryAfter, now);
  if (status === 429 || (status === 503 && afterMs !== undefined)) {
    // Now, or in the past: it does not say for how long.
    return {
      is: "busy",
      afterMs: afterMs === undefined || afterMs <= 0 ? undefined : afterMs,
      reason: `HTTP ${status}`,
    };
  }
  if (status >= 300 && status < 400) {
    return { is: "failed", reason: `HTTP ${status}: redirects are not followed; set the url to where it leads` };
  }
  return { is: "failed", reason: `HTTP ${status}` };
}

/** Seconds, a fraction of them too, or a date in one of the three forms of RFC 9110; undefined where it is neither. An hour at most. */
export function retryAfterMs(text: string | null, now: number): number | undefined {
  const trimmed = (text ?? "").trim();
  const seconds = /^\d+(\.\d+)?$/.test(trimmed) ? Math.ceil(Number(trimmed)) * 1_000 : undefined;
  const ms = seconds ?? dateMs(trimmed, now) - now;
  return Number.isNaN(ms) ? undefined : Math.min(ms, busyMsMax);
}

const days = "(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?";
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const month = `(?<month>${months.join("|")})`;
const time = "(?<time>\\d\\d:\\d\\d:\\d\\d)";
const dates = [
  new RegExp(`^${days}, (?<day>\\d\\d) ${month} (?<year>\\d{4}) ${time} GMT$`),
  new RegExp(`^${days}, (?<day>\\d\\d)-${month}-(?<year>\\d\\d) ${time} GMT$`),
  new RegExp(`^${days} ${month} (?<day>[ \\d]\\d) ${time} (?<year>\\d{4})$`),
];

/** A date of HTTP, in ms since 1970; NaN where it is none. A year of two digits that is far ahead is one of the past. */
function dateMs(text: string, now: number): number {
  const found = dates.map((form) => form.exec(text)?.groups).find((groups) => groups !== undefined);
  if (found === undefined) return Number.NaN;
  const { day, month, year, time } = found;
  const number = String(months.indexOf(month) + 1).padStart(2, "0");
  const at = (year: number) => Date.parse(`${year}-${number}-${day.trim().padStart(2, "0")}T${time}Z`);
  if (year.length === 4) return at(Number(year));
  const century = Math.floor(new Date(now).getUTCFullYear() / 100) * 100;
  const full = century + Number(year);
  return at(full > new Date(now).getUTCFullYear() + 50 ? full - 100 : full);
}

/** Why a target is not to be called, if so. Names that resolve to private addresses are the network's to refuse. */
export function targetProblem(target: string, privateTargets: boolean): string | undefined {
  let url: URL;
  try {
    url = new URL(target);
  } catch {
    return "the url is not valid";
  }
  if (url.username !== "" || url.password !== "") return "the url must not hold credentials; use push.headers";
  if (privateTargets) return undefined;
  if (url.protocol !== "https:") return "the url must be https";
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.+$/, "");
  if (ipaddr.isValid(host)) {
    const range = rangeOf(host);
    return range === "unicast" ? undefined : `the address ${host} is ${range}; only public addresses may be called`;
  }
  const isPublic = host.includes(".") && !privateNames.test(host) && !numbered.test(host);
  return isPublic ? undefined : `the name ${host} is not a public one`;
}

/** Names that no public server has: those of RFC 6761, 6762, 8375 and 9476, and what networks call their own. */
const privateNames =
  /(^|\.)(localhost|localdomain|localnet|local|internal|intranet|intra|private|corp|home|mail|lan|domain|workgroup|consul|cluster|svc|arpa|alt|test|example|invalid|onion|i2p)$/i;

/** No name ends in a number: it is an address in one of its old forms, which some resolver may know. */
const numbered = /(^|\.)(\d+|0x[0-9a-f]*)$/i;

/** Of the addresses of IPv6 those that are given out to networks; within them, protocols' own and documentation's. */
const [given, ...apart] = ["2000::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"].map((range) =>
  ipaddr.IPv6.parseCIDR(range),
);

/** What an address is for. One that has an IPv4 address in it is judged by that where it is the same one; a gateway's is none. */
function rangeOf(host: string): string {
  const address = ipaddr.process(host);
  const range = address.range();
  if (address.kind() === "ipv4" || range !== "unicast") return range;
  const isGiven = address.match(given) && !apart.some((one) => address.match(one));
  return isGiven ? range : "reserved";
}
