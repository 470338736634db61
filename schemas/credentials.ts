/**
 * How the credentials of a push target are shown, and taken back. Nobody who may look at a group learns what a receiver trusts:
 * a mask stands in its place. Who sends the mask back means what is stored, so that what was read can be changed and written.
 */
import { ok, type Result, refuse } from "./errors.ts";

/** Stands for what is not shown. It can be in no header and no secret, and in a URL it is written `%E2%80%A6`. */
export const mask = "…";

interface Target {
  readonly url: string;
  readonly secrets: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
}

/** What is shorter guards nothing, and its mask would be longer than it. */
const shortest = 4;
const secretShown = 10;

/** A secret as it is shown. */
export const maskedSecret = (secret: string) => secret.slice(0, secretShown) + mask;

/** As it is shown: headers by their names, secrets by their first characters, a URL without what may be a key in it. */
export const masked = <T extends Target>(target: T): T => ({
  ...target,
  url: maskedUrl(target.url),
  secrets: target.secrets.map(maskedSecret),
  headers: Object.fromEntries(Object.keys(target.headers).map((name) => [name, mask])),
});

/** The same the other way: each mask is what is stored. Refused, with its path, where nothing is. */
export function unmasked<T extends Target>(target: T, stored: Target | null): Result<T> {
  let { url } = target;
  if (url.includes(mask)) {
    if (stored === null || maskedUrl(stored.url) !== url) return unknown("url");
    url = stored.url;
  }
  const names = new Map(Object.entries(stored?.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(target.headers)) {
    const known = value === mask ? names.get(name.toLowerCase()) : value;
    if (known === undefined) return unknown(`headers.${name}`);
    headers[name] = known;
  }
  const left = [...(stored?.secrets ?? [])];
  const secrets: string[] = [];
  for (const [index, secret] of target.secrets.entries()) {
    const place = secret.endsWith(mask) ? left.findIndex((one) => maskedSecret(one) === secret) : -1;
    if (secret.endsWith(mask) && place < 0) return unknown(`secrets.${index}`);
    secrets.push(place < 0 ? secret : left.splice(place, 1)[0]);
  }
  return ok({ ...target, url, secrets, headers });
}

function unknown(path: string) {
  const detail = `body: push.${path}: ${mask} stands for what is stored, and nothing that it could stand for is; send the whole value`;
  return refuse("invalid", detail, { path: `push.${path}` });
}

/** Scheme, user and password, host, path, query, fragment: as readers of URLs take them, who let `\` pass for `/`. */
const url = /^(https?:[/\\]*)([^/\\?#]*@)?([^/\\?#]*)([^?#]*)(\?[^#]*)?(#.*)?$/i;

function maskedUrl(text: string): string {
  const [, scheme, user, host, path, query, fragment] = url.exec(text) ?? [];
  if (scheme === undefined) return mask;
  const shown = path.replace(/[^/\\]+/g, (segment) => (isKey(segment) ? mask : segment));
  return `${scheme}${user === undefined ? "" : `${mask}@`}${host}${shown}${maskedQuery(query)}${hidden(fragment ?? "", 1)}`;
}

const maskedQuery = (query = "") =>
  query.replace(/[^?&]+/g, (term) => {
    const at = term.indexOf("=") + 1;
    return hidden(term, at);
  });

/** A text without what stands behind `from`, where that is long enough to be worth it. */
const hidden = (text: string, from: number) => (text.length - from < shortest ? text : text.slice(0, from) + mask);

/** Many receivers are called by a URL that is the credential. A name has no digits, or is not so long. */
const isKey = (segment: string) =>
  segment.length >= 16 && (/\d/.test(segment) || /[a-z].*[A-Z]|[A-Z].*[a-z]/.test(segment));

/** Parts of a text that are shorter may be there by chance. */
const tellingChars = 6;
const telling = new WeakMap<Target, readonly string[]>();

/** What others said, such as a receiver that answers with what it was sent, without the target's credentials. */
export function veiled(text: string, target: Target): string {
  if (text === "") return text;
  const known = telling.get(target) ?? credentialsOf(target);
  telling.set(target, known);
  let shown = text;
  for (const one of known) shown = shown.split(one).join(mask);
  // The text may have been cut off amid one.
  for (const one of known) {
    for (let length = one.length - 1; length >= tellingChars; length--) {
      if (shown.endsWith(one.slice(0, length))) return shown.slice(0, -length) + mask;
    }
  }
  return shown;
}

/** Everything that is masked, in the forms in which others write it; long ones first, as they may hold others. */
function credentialsOf(target: Target): string[] {
  const [, , user = "", , path = "", query = "", fragment = ""] = url.exec(target.url) ?? [];
  const inUrl = [
    ...path.split(/[/\\]/).filter(isKey),
    ...query.slice(1).split("&"),
    fragment.slice(1),
    user.slice(0, -1),
  ];
  const values = query
    .slice(1)
    .split("&")
    .map((term) => term.slice(term.indexOf("=") + 1));
  // Of `Bearer …` the part that counts.
  const inHeaders = Object.values(target.headers).flatMap((value) => [value, value.slice(value.indexOf(" ") + 1)]);
  const secrets = target.secrets.flatMap((secret) => [secret, secret.slice("whsec_".length)]);
  const all = [...inUrl, ...values, ...user.slice(0, -1).split(":"), ...inHeaders, ...secrets];
  const forms = all.flatMap((one) => [one, decoded(one), JSON.stringify(one).slice(1, -1)]);
  return [...new Set(forms)].filter(({ length }) => length >= tellingChars).sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
