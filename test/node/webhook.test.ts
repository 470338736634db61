/** The client's check of a webhook, against the signer of Standard Webhooks. */
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { verifyWebhook } from "../../src/client/webhook.ts";

const secret = () => `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`;
const [one, other] = [secret(), secret()];
const body = '{"total":42,"name":"café"}';

function signed(by: string, at = new Date(), id = "msg_1"): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(by).sign(id, at, body),
  };
}

describe("a webhook", () => {
  test("is genuine by its secret, by one of several, in headers of either kind, as text or as bytes", async () => {
    await verifyWebhook(one, signed(one), body);
    await verifyWebhook([other, one], new Headers(signed(one)), new TextEncoder().encode(body));
    const both = signed(one);
    both["webhook-signature"] = `v1a,unknown ${signed(other)["webhook-signature"]} ${both["webhook-signature"]}`;
    await verifyWebhook(one, both, body);
  });

  test("is genuine as bytes of every kind, and of a part of them", async () => {
    const bytes = new Uint8Array(new TextEncoder().encode(`x${body}`));
    const { buffer } = bytes;
    const [from, to] = [1, bytes.length];
    for (const given of [
      buffer.slice(from),
      new Uint8Array(buffer, from),
      new DataView(buffer, from),
      Buffer.from(buffer, from, to - from),
    ])
      expect(await verifyWebhook(one, signed(one), given)).toBe("msg_1");
    await expect(verifyWebhook(one, signed(one), buffer)).rejects.toMatchObject({ code: "unauthorized" });
  });

  test("has a secret that says whsec_, as the service's own do", async () => {
    const bare = one.slice("whsec_".length);
    for (const given of [bare, [one, bare], `WHSEC_${bare}`, `v1,${one}`])
      await expect(verifyWebhook(given, signed(one), body)).rejects.toThrow("secrets: must be whsec_…");
  });

  test("is known by its id, which is what it returns, however its headers are given", async () => {
    const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signature } = signed(one);
    const foreign = signed(other)["webhook-signature"];
    const several = new Headers({ "webhook-id": id, "webhook-timestamp": time });
    for (const value of [foreign, signature]) several.append("webhook-signature", value);
    for (const headers of [
      { "Webhook-Id": id, "Webhook-Timestamp": time, "Webhook-Signature": signature },
      { "WEBHOOK-ID": [id], "webhook-timestamp": [time], "Webhook-signature": [foreign, signature] },
      { "webhook-id": id, "webhook-timestamp": Number(time) as never, "webhook-signature": signature, get: "x" },
      several,
    ])
      expect(await verifyWebhook(one, headers, body)).toBe("msg_1");
    // Of two ids neither was signed alone.
    const twice = { ...signed(one), "webhook-id": ["msg_1", "msg_1"] };
    await expect(verifyWebhook(one, twice, body)).rejects.toMatchObject({ code: "unauthorized" });
  });

  test("has a secret of 24 to 64 bytes", async () => {
    for (const [bytes, isOne] of [
      [8, false],
      [23, false],
      [24, true],
      [64, true],
      [65, false],
    ] as const) {
      const given = `whsec_${Buffer.alloc(bytes, 7).toString("base64")}`;
      const checked = verifyWebhook([given, one], signed(one), body);
      if (isOne) expect(await checked, `${bytes}`).toBe("msg_1");
      else await expect(checked, `${bytes}`).rejects.toThrow("secrets: must be whsec_… of 24 to 64 bytes in base64");
    }
  });

  test.each<[string, () => Promise<string>, RegExp]>([
    ["of another secret", () => verifyWebhook(other, signed(one), body), /no signature fits/],
    ["whose body was changed", () => verifyWebhook(one, signed(one), `${body} `), /no signature fits/],
    ["with another's id", () => verifyWebhook(one, { ...signed(one), "webhook-id": "msg_2" }, body), /no signature/],
    ["of long ago", () => verifyWebhook(one, signed(one, new Date(Date.now() - 301_000)), body), /time/],
    ["of the future", () => verifyWebhook(one, signed(one, new Date(Date.now() + 301_000)), body), /time/],
    ["whose time is none", () => verifyWebhook(one, { ...signed(one), "webhook-timestamp": "soon" }, body), /time/],
    ["without a signature", () => verifyWebhook(one, {}, body), /missing/],
    [
      "with a broken signature",
      () => verifyWebhook(one, { ...signed(one), "webhook-signature": "v1,%%" }, body),
      /no sig/,
    ],
  ])("%s is refused", async (_, check, why) => {
    await expect(check()).rejects.toThrow(why);
  });

  // What is given wrongly is no request that somebody forged: it is said by its name.
  const headers = signed(one);
  test.each<[string, unknown[], string]>([
    ["no secret", [undefined, headers, body], "secrets:"],
    ["an empty one", ["", headers, body], "secrets:"],
    ["one that is none", ["hello", headers, body], "secrets:"],
    ["none of several", [[], headers, body], "secrets:"],
    ["one of several that is none", [[one, undefined], headers, body], "secrets:"],
    ["no headers", [one, undefined, body], "headers:"],
    ["a body that was parsed", [one, headers, JSON.parse(body)], "body:"],
    ["no body", [one, headers], "body:"],
    ["the body before the headers", [one, body, headers], "headers:"],
    ["the headers first", [headers, one, body], "secrets:"],
    ["the body first", [body, headers, one], "secrets:"],
    ["options that are none", [one, headers, body, { tolerance: 5 }], "no option 'tolerance'"],
    ["no options", [one, headers, body, null], "options:"],
    ["a tolerance that is none", [one, headers, body, { toleranceSeconds: Number.NaN }], "toleranceSeconds:"],
    ["headers that are a list", [one, Object.entries(headers), body], "headers:"],
  ])("with %s is a mistake of the receiver's, by its name", async (_, given, says) => {
    const checked = (verifyWebhook as (...given: unknown[]) => Promise<string>)(...given);
    await expect(checked).rejects.toThrow(TypeError);
    await expect((verifyWebhook as (...given: unknown[]) => Promise<string>)(...given)).rejects.toThrow(says);
  });

  test("may be as old as its receiver allows", async () => {
    const old = signed(one, new Date(Date.now() - 3_000_000));
    await verifyWebhook(one, old, body, { toleranceSeconds: 4_000 });
    await expect(verifyWebhook(one, old, body, { toleranceSeconds: 2_000 })).rejects.toMatchObject({
      code: "unauthorized",
    });
  });
});
