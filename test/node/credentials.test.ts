/** Masks of credentials: nothing shows through, and what is sent back is what was there. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { masked, unmasked, veiled } from "../../schemas/credentials.ts";
import { pushTarget } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";

const target = (url: string, more: object = {}) => pushTarget.parse({ url, ...more });
const shown = (url: string) => masked(target(url)).url;

describe("a url", () => {
  test.each([
    ["https://example.com/hook", "https://example.com/hook"],
    ["https://example.com:8443/a/orders-of-production/b", "https://example.com:8443/a/orders-of-production/b"],
    ["https://hooks.slack.com/services/T0/B0/XXXXXXXXXXXXXXXX1", "https://hooks.slack.com/services/T0/B0/…"],
    ["https://example.com/AbcdefghijklmnoP/x", "https://example.com/…/x"],
    ["https://example.com/?token=abcdef&page=2&k=", "https://example.com/?token=…&page=2&k="],
    ["https://example.com/?abcdefg", "https://example.com/?…"],
    ["https://example.com/?a=b=c=d=e", "https://example.com/?a=…"],
    ["https://example.com/#abcdef", "https://example.com/#…"],
    ["https://me:pass@example.com/", "https://…@example.com/"],
    ["https://me:p@ss@example.com/a", "https://…@example.com/a"],
    ["https:\\\\me:pass@example.com\\abcdefghijklmno1?x", "https:\\\\…@example.com\\…?x"],
    ["https:me:pass@example.com", "https:…@example.com"],
  ])("%s is shown as %s", (url, as) => {
    expect(shown(url)).toBe(as);
  });

  test("that is none, from an old dump, is shown as a mask", () => {
    expect(masked({ url: "me:pass", secrets: [], headers: {} }).url).not.toContain("pass");
    expect(masked({ url: "", secrets: [], headers: {} }).url).toBe("…");
  });
});

const text = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 40 }).map((some) => encodeURIComponent(some));
const secret = fc
  .uint8Array({ minLength: 24, maxLength: 64 })
  .map((bytes) => `whsec_${Buffer.from(bytes).toString("base64")}`);
const targets = fc
  .record({
    url: fc
      .record({ path: fc.array(text, { maxLength: 4 }), query: fc.array(fc.tuple(text, text), { maxLength: 4 }) })
      .map(({ path, query }) => `https://example.com/${path.join("/")}?${query.map((one) => one.join("=")).join("&")}`),
    secrets: fc.array(secret, { maxLength: limits.secretsMax }),
    headers: fc.dictionary(fc.stringMatching(/^x-[a-z]{1,9}$/), fc.stringMatching(/^[!-~]{1,40}$/), { maxKeys: 5 }),
  })
  .map(({ url, ...more }) => target(url, more));

describe("any target", () => {
  test("that is shown and sent back is accepted, and is what it was", () => {
    fc.assert(
      fc.property(targets, (one) => {
        const back = pushTarget.parse(masked(one));
        expect(unmasked(back, one)).toEqual({ ok: true, value: one });
        // With nothing behind them masks are refused.
        const some = one.secrets.length + Object.keys(one.headers).length > 0 || back.url.includes("…");
        expect(unmasked(back, null).ok).toBe(!some);
      }),
    );
  });

  test("is veiled in what others say of it, cut off or not", () => {
    const one = target("https://example.com/?key=abcdefgh%2F", { headers: { authorization: "Bearer 12345678" } });
    expect(veiled("I got Bearer 12345678, abcdefgh%2F and abcdefgh/", one)).toBe("I got …, … and …");
    expect(veiled("only 12345678", one)).toBe("only …");
    expect(veiled("and then abcdefg", one)).toBe("and then …");
    expect(veiled("nothing of it", one)).toBe("nothing of it");
  });
});
