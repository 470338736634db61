/** What a Worker knows of the catalog's, when that is slow, away, or has something newer. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ok, refuse } from "../../schemas/errors.ts";
import type { Group } from "../../src/catalog/group.ts";
import type { Stream } from "../../src/catalog/stream.ts";
import { groupRoute, rememberGroup } from "../../src/http/groups/route.ts";
import { lookup, lookupNewest, remember } from "../../src/http/lookup.ts";
import type { Env } from "../../src/objects/stubs.ts";

let count = 0;
let name: string;
const now = Date.now();
const streamOf = (version: number): Stream =>
  ({
    name,
    logId: "l".repeat(20),
    version,
    config: {},
    map: [{ partition: 0, from: 0, to: 2 ** 32, epoch: 0, sealed: false }],
    created: 0,
    updated: 0,
  }) as unknown as Stream;
const groupOf = (version: number): Group => ({ name: "g", id: "i", version, config: {} }) as unknown as Group;

/** A catalog that answers as it is told, and how often it was asked. */
function catalogOf(answer: (what: "stream" | "group") => unknown) {
  const asked = { stream: 0, group: 0 };
  const stub = {
    stream: async () => [asked.stream++, await answer("stream")][1],
    group: async () => [asked.group++, await answer("group")][1],
  };
  return { asked, env: { ...(env as unknown as Env), CATALOG: { getByName: () => stub } } as unknown as Env };
}

/** Both ways to what is known: the version of a stream, and of a group. */
const ways = {
  stream: async (env: Env) => {
    const route = await lookup(env, "default", name);
    return route.ok ? route.value.stream.version : route.refusal.code;
  },
  group: async (env: Env) => {
    const route = await groupRoute(env, "default", name, "g");
    return route.ok ? route.value.group.version : route.refusal.code;
  },
};

beforeEach(() => {
  name = `known-${count++}`;
  vi.useFakeTimers({ toFake: ["Date"], now });
  remember("default", name, ok(streamOf(1)));
  rememberGroup("default", name, "g", streamOf(1).logId, ok(groupOf(1)));
});
afterEach(() => vi.useRealTimers());
const pass = (ms: number) => vi.setSystemTime(Date.now() + ms);
/** What goes on behind a request has its turn. */
const behind = () => new Promise((resolve) => setTimeout(resolve, 20));

describe.each(["stream", "group"] as const)("a %s that is known", (what) => {
  const way = ways[what];

  test("is not asked for while it is fresh", async () => {
    const { env, asked } = catalogOf(() => new Promise(() => {}));
    pass(29_000);
    expect(await way(env)).toBe(1);
    expect(asked).toEqual({ stream: 0, group: 0 });
  });

  test("is used when it is old, though the catalog does not answer, and asked for once in a while", async () => {
    const { env, asked } = catalogOf(() => new Promise(() => {}));
    pass(31_000);
    for (let n = 0; n < 5; n++) expect(await way(env)).toBe(1);
    await behind();
    expect(asked[what]).toBe(1);
    pass(86_400_000);
    expect(await way(env)).toBe(1);
    await behind();
    expect(asked[what]).toBe(2);
  });

  test("is used on while the catalog fails, and is the newer one when it answers again", async () => {
    let fails = true;
    const newer = (what: "stream" | "group") => ok(what === "stream" ? streamOf(2) : groupOf(2));
    const { env } = catalogOf((what) => {
      if (fails) throw Object.assign(new Error("away"), { retryable: true });
      return newer(what);
    });
    pass(31_000);
    expect(await way(env)).toBe(1);
    await behind();
    expect(await way(env)).toBe(1);
    fails = false;
    pass(6_000);
    expect(await way(env)).toBe(1);
    await behind();
    expect(await way(env)).toBe(2);
  });

  test("is forgotten when the catalog says that it is gone", async () => {
    const gone = (what: "stream" | "group") => refuse(`${what}-not-found`, "gone");
    const { env } = catalogOf((asked) => (asked === what ? gone(asked) : ok(streamOf(1))));
    pass(31_000);
    expect(await way(env)).toBe(1);
    await behind();
    expect(await way(env)).toBe(`${what}-not-found`);
  });

  test("is not taken back to what was asked for before something newer was learnt", async () => {
    let answer: (value: unknown) => void = () => {};
    const { env } = catalogOf((asked) =>
      asked === what ? new Promise((resolve) => (answer = resolve)) : ok(asked === "stream" ? streamOf(1) : groupOf(1)),
    );
    pass(31_000);
    expect(await way(env)).toBe(1);
    await behind();
    if (what === "stream") remember("default", name, ok(streamOf(3)));
    else rememberGroup("default", name, "g", streamOf(1).logId, ok(groupOf(3)));
    answer(ok(what === "stream" ? streamOf(2) : groupOf(2)));
    await behind();
    expect(await way(env)).toBe(3);
  });

  test("waits for the catalog where nothing is known, and says that it is away", async () => {
    name = `${name}-unknown`;
    const { env } = catalogOf(() => {
      throw Object.assign(new Error("away"), { retryable: true });
    });
    expect(await way(env)).toBe("unavailable");
  });
});

describe("the newest that can be had", () => {
  const fails = () => {
    throw Object.assign(new Error("away"), { retryable: true });
  };
  const newest = async (env: Env) => {
    const route = await lookupNewest(env, "default", name);
    return route.ok ? [route.value.stream.version, route.value.old] : route.refusal.code;
  };
  const group = async (env: Env) => {
    const route = await groupRoute(env, "default", name, "g", "newest");
    return route.ok ? [route.value.group.version, route.value.route.old] : route.refusal.code;
  };

  test.each([
    ["away", fails],
    ["silent", () => new Promise(() => {})],
  ])("is what is known where the catalog is %s, and says so", { timeout: 20_000 }, async (_, answer) => {
    const { env } = catalogOf(answer);
    expect(await newest(env)).toEqual([1, true]);
    expect(await group(env)).toEqual([1, true]);
    // It has not been forgotten by that.
    expect(await newest(env)).toEqual([1, true]);
  });

  test("is the catalog's where that answers, be it that there is none", async () => {
    const { env } = catalogOf((what) => ok(what === "stream" ? streamOf(2) : groupOf(2)));
    expect(await newest(env)).toEqual([2, undefined]);
    expect(await group(env)).toEqual([2, undefined]);
    const gone = catalogOf(() => refuse("stream-not-found", "gone"));
    expect(await newest(gone.env)).toBe("stream-not-found");
    expect(await newest(catalogOf(fails).env)).toBe("unavailable");
  });
});
