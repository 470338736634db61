/** The file of contexts: what is read, what is written, and which of them holds. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { settled } from "../../src/cli/config.ts";
import { changeContexts, chosen, readContexts, setContext } from "../../src/cli/contexts.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-contexts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
let profile = "";
beforeEach(() => {
  profile = join(folder, String(count++), "profile.json");
  for (const name of ["URL", "TOKEN", "ROOT_TOKEN", "NAMESPACE", "PROFILE", "CONTEXT"])
    vi.stubEnv(`MILLRACE_${name}`, undefined);
});
afterEach(() => vi.unstubAllEnvs());

const [a, b] = [
  { url: "https://a.example.com", token: "token-a" },
  { url: "https://b.example.com", token: "token-b", namespace: "shop" },
];

test("a file of the form that had one context is read, and stays so while it has one", () => {
  expect(readContexts(profile)).toBeUndefined();
  setContext({ profile }, a);
  expect(JSON.parse(readFileSync(profile, "utf8"))).toEqual(a);
  expect(statSync(profile).mode & 0o777).toBe(0o600);
  expect(settled({ profile })).toMatchObject({ ...a, namespace: "default", context: "default" });
  setContext({ profile }, { namespace: "shop" });
  expect(JSON.parse(readFileSync(profile, "utf8"))).toEqual({ ...a, namespace: "shop" });
});

test("a second context stands beside the first, which goes on to hold", () => {
  setContext({ profile }, a);
  setContext({ profile, context: "b" }, b);
  expect(settled({ profile })).toMatchObject({ url: a.url, context: "default" });
  expect(settled({ profile, context: "b" })).toMatchObject({ ...b, context: "b" });
  vi.stubEnv("MILLRACE_CONTEXT", "b");
  expect(chosen({ profile })).toMatchObject({ name: "b", url: b.url });
  expect(settled({ profile, context: "default" })).toMatchObject({ url: a.url });
});

test("flags and the environment come before it, each part by itself, and it is said from where", () => {
  changeContexts(profile, () => ({ current: "b", contexts: { a, b } }));
  vi.stubEnv("MILLRACE_NAMESPACE", "n1");
  const { url, token, namespace, origins } = settled({ profile, token: "t" });
  expect({ url, token, namespace }).toEqual({ url: b.url, token: "t", namespace: "n1" });
  expect(origins).toEqual({ url: "context b", token: "--token", namespace: "the environment" });
});

test("what is named and not there is refused; what nobody names is not missed", () => {
  expect(() => chosen({ profile })).toThrow(`there is no file ${profile}`);
  changeContexts(profile, () => ({ current: "gone", contexts: { a } }));
  expect(chosen({ profile })).toEqual({});
  for (const context of ["c", "constructor"])
    expect(() => chosen({ profile, context })).toThrow(`there is no context '${context}'`);
  writeFileSync(profile, "[]");
  expect(() => readContexts(profile)).toThrow("write it anew: rm");
  for (const text of ['{"contexts":1}', '{"contexts":{"a":null}}', '{"contexts":["a"]}']) {
    writeFileSync(profile, text);
    expect(() => chosen({ profile, context: "a" })).toThrow("write it anew: rm");
  }
});

test("a context that a flag names comes before the environment, and flags before it", () => {
  setContext({ profile }, a);
  setContext({ profile, context: "b" }, b);
  setContext({ profile, context: "bare" }, { url: a.url });
  vi.stubEnv("MILLRACE_URL", "http://localhost:1");
  vi.stubEnv("MILLRACE_TOKEN", "token-e");
  expect(settled({ profile })).toMatchObject({ url: "http://localhost:1", token: "token-e" });
  expect(settled({ profile, context: "b" })).toMatchObject(b);
  expect(settled({ profile, context: "b", url: "http://localhost:2", token: "t" })).toMatchObject({
    ...b,
    url: "http://localhost:2",
    token: "t",
  });
  // What it does not say, the environment may, with a token that is not for another URL.
  expect(() => settled({ profile, context: "bare" })).toThrow(
    `the token of the environment is for http://localhost:1, and is not sent to ${a.url} (context bare)`,
  );
  vi.stubEnv("MILLRACE_URL", undefined);
  expect(settled({ profile, context: "bare" })).toMatchObject({ url: a.url, token: "token-e" });
  vi.stubEnv("MILLRACE_URL", "http://localhost:1");
  // Named by the environment itself it is no more than what else that says.
  vi.stubEnv("MILLRACE_CONTEXT", "b");
  expect(settled({ profile })).toMatchObject({ url: "http://localhost:1", namespace: "shop" });
});

test.each([
  ["https://b.example.com", "token-b"],
  ["https://B.example.com/", "token-b"],
  ["https://b.example.com:443", "token-b"],
  ["http://b.example.com", undefined],
  ["https://b.example.com:8443", undefined],
  ["https://b.example.com.evil.example", undefined],
  ["https://b.example.com/other", undefined],
  ["https://a.example.com", undefined],
  ["http://localhost:8787", "millrace-dev"],
])("the token of a context goes to the URL that it was stored with: to %s, %s", (url, token) => {
  changeContexts(profile, () => ({ current: "b", contexts: { a, b, any: { token: "token-any" } } }));
  const of = (flags: object) => () => settled({ profile, ...flags });
  const told = (flags: object) =>
    token === undefined
      ? expect(of(flags)).toThrow(`the token of the context 'b' is for ${b.url}, and is not sent to ${url}`)
      : expect(of(flags)()).toMatchObject({ url, token });
  told({ url });
  told({ url, context: "b" });
  expect(of({ url, context: "any" })()).toMatchObject({ url, token: "token-any" });
  vi.stubEnv("MILLRACE_URL", url);
  told({});
  expect(of({ token: "t" })()).toMatchObject({ url, token: "t" });
  vi.stubEnv("MILLRACE_TOKEN", "token-e");
  expect(of({})()).toMatchObject({ url, token: "token-e" });
});

const c = "https://c.example.com";
test.each<[string, Readonly<Record<string, string>>, object, string | undefined]>([
  ["alone it goes wherever the command does", {}, {}, b.url],
  ["alone, to the URL of a flag", {}, { url: c }, c],
  ["with a URL, to that", { URL: c }, {}, c],
  ["with a URL, to that in a flag", { URL: c }, { url: `${c}/` }, `${c}/`],
  [
    "with a URL of this machine, to any of it",
    { URL: "http://localhost:1" },
    { url: "http://127.0.0.1:2" },
    "http://127.0.0.1:2",
  ],
  ["with a URL, and to no other", { URL: c }, { url: a.url }, undefined],
  ["with a URL, and to no context that has no token", { URL: c }, { context: "bare" }, undefined],
])("the token of the environment: %s", (_, environment, flags, url) => {
  changeContexts(profile, () => ({ current: "b", contexts: { b, bare: { url: a.url } } }));
  for (const [name, value] of Object.entries({ ...environment, TOKEN: "token-e" }))
    vi.stubEnv(`MILLRACE_${name}`, value);
  const of = () => settled({ profile, ...flags });
  if (url !== undefined) expect(of()).toMatchObject({ url, token: "token-e" });
  else expect(of).toThrow(`the token of the environment is for ${c}, and is not sent to ${a.url}`);
});

test("where the token of the environment is for another URL, that of the context is taken, and on this machine the development token", () => {
  changeContexts(profile, () => ({ current: "b", contexts: { b } }));
  vi.stubEnv("MILLRACE_URL", c);
  vi.stubEnv("MILLRACE_TOKEN", "token-e");
  expect(settled({ profile, url: b.url })).toMatchObject({ url: b.url, token: "token-b" });
  expect(settled({ profile, url: "http://localhost:1" })).toMatchObject({ token: "millrace-dev" });
});

test.each<[string, object, object, string | undefined]>([
  ["another URL", { url: c }, { url: c }, b.url],
  ["another URL, with its token", { url: c, token: "t" }, { url: c, token: "t" }, undefined],
  ["the same URL, written otherwise", { url: `${b.url}:443/` }, { url: `${b.url}:443/`, token: b.token }, undefined],
  ["a namespace", { namespace: "n" }, { namespace: "n", token: b.token }, undefined],
])("a context that is given %s", (_, change, after, dropped) => {
  changeContexts(profile, () => ({ current: "a", contexts: { a, b } }));
  expect(setContext({ profile, context: "b" }, change)).toEqual({ path: profile, dropped });
  const kept = dropped === undefined ? {} : { token: undefined };
  expect(readContexts(profile)?.contexts).toEqual({ a, b: { ...b, ...kept, ...after } });
});
