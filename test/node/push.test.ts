/** What a push sends, to whom, and what answers mean; when an attempt follows another, and how fast. */
import { type CloudEvent, HTTP } from "cloudevents";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pushTarget } from "../../schemas/group.ts";
import { pause, planAfter } from "../../src/delivery/attempts.ts";
import { newItem } from "../../src/delivery/item.ts";
import { outcomeOf, targetProblem } from "../../src/delivery/push.ts";
import { pushRequest } from "../../src/delivery/push-request.ts";
import { Ranges } from "../../src/delivery/ranges.ts";
import { type Bucket, Rate } from "../../src/delivery/rate.ts";
import { eachRecord, readHeader } from "../../src/log/frame.ts";
import { FrameWriter, type Rec } from "../../src/log/record.ts";
import { specOf } from "../cases/delivery.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A record under lease, as it comes from a page. */
function leased(record: Rec, offset = 3, attempt = 1) {
  const writer = new FrameWriter();
  writer.add(record);
  const [frame] = writer.finish(0);
  const header = readHeader(frame, 0);
  if (!header.ok) throw new Error(header.refusal.detail);
  let bounds = [0, 0];
  eachRecord(header.value, (from, to) => {
    bounds = [from, to];
  });
  const [from, to] = bounds;
  const content = { offset, timestamp: 1_700_000_000_000, key: record.key, bytes: frame, from, to, checked: true };
  return { item: newItem(content), generation: 1, attempt };
}

const request = (format: string, records: Rec[], attempt = 1) =>
  pushRequest(
    specOf({ push: pushTarget.parse({ url: "https://example.com/", format }) }),
    records.map((record, index) => leased(record, 3 + index, attempt)),
  );

const json: Rec = { kind: 1, data: bytes('{"n":1}'), id: "e1", source: "/s", type: "t", subject: "a", key: "k" };
const text: Rec = { ...json, kind: 2, data: bytes("grüße") };
const binary: Rec = { ...json, kind: 3, data: Uint8Array.of(0, 255, 10) };
const none: Rec = { ...json, kind: 0, data: new Uint8Array(0) };

test("a batch's id is that of its records, in whatever order, and of no others", () => {
  const idOf = (offsets: readonly number[]) => {
    const push = pushTarget.parse({ url: "https://example.com/", format: "batch" });
    return pushRequest(
      specOf({ push }),
      offsets.map((offset) => leased(none, offset)),
    ).id;
  };
  expect(idOf([5])).toBe("g1.0.5");
  expect(idOf([5, 7, 9])).toMatch(/^g1\.0\.5-9-[0-9a-f]{16}$/);
  const offsets = fc.uniqueArray(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(offsets, offsets, (some, others) => {
      const same = some.toSorted().join() === others.toSorted().join();
      expect(idOf(some) === idOf(others)).toBe(same);
      expect(idOf(some.toReversed())).toBe(idOf(some));
    }),
  );
  // All that begin and end alike.
  const between = Array.from({ length: 2 ** 8 }, (_, set) => [
    0,
    ...[...Array(8).keys()].filter((n) => set & (1 << n)).map((n) => n + 1),
    9,
  ]);
  expect(new Set(between.map(idOf)).size).toBe(between.length);
});

describe("a request", () => {
  test.each(["structured", "batch"])("in %s mode is the event, whatever its data are", (format) => {
    for (const [record, data] of [
      [json, { n: 1 }],
      [text, "grüße"],
      [none, undefined],
    ] as const) {
      const { headers, body } = request(format, [record]);
      const read = HTTP.toEvent({ headers, body: new TextDecoder().decode(body) });
      const event = (Array.isArray(read) ? read[0] : read) as CloudEvent<unknown>;
      expect(event).toMatchObject({ id: "e1", source: "/s", type: "t", subject: "a", partitionkey: "k" });
      expect(event.data).toEqual(data);
      expect(event.time).toBe("2023-11-14T22:13:20.000Z");
    }
    const { body } = request(format, [binary]);
    expect(new TextDecoder().decode(body)).toContain('"data_base64":"AP8K"');
  });

  test("in binary mode has the data as they are, and their type", () => {
    const types = [json, text, binary, none].map((record) => request("binary", [record]).headers["content-type"]);
    expect(types).toEqual(["application/json", "text/plain; charset=UTF-8", "application/octet-stream", undefined]);
    expect(request("binary", [binary]).body).toEqual(binary.data);
    const typed = request("binary", [{ ...text, datacontenttype: "text/csv" }]);
    expect(typed.headers).toMatchObject({ "content-type": "text/csv", "ce-type": "t", "ce-partitionkey": "k" });
    expect(typed.headers["ce-datacontenttype"]).toBeUndefined();
  });

  test("has an id that no attempt changes", () => {
    expect(request("binary", [json], 1).id).toBe(request("binary", [json], 7).id);
    expect(request("binary", [json], 7).headers["millrace-attempt"]).toBe("7");
    expect(request("batch", [json, text], 1).id).toBe(request("batch", [json, text], 7).id);
  });

  test("makes up what a record lacks, the same every time", () => {
    const { headers } = request("binary", [{ kind: 1, data: bytes("1") }]);
    expect(headers).toMatchObject({
      "ce-specversion": "1.0",
      "ce-source": "/v1/default/streams/s",
      "ce-type": "dev.millrace.record",
      "ce-millraceoffset": "3",
    });
    expect(headers["ce-id"]).toMatch(/\.0\.3$/);
  });
});

describe("an answer", () => {
  const now = Date.parse("2026-11-20T10:00:00Z");
  test.each([
    [200, null, "done"],
    [204, null, "done"],
    [302, null, "failed"],
    [400, null, "failed"],
    [410, null, "gone"],
    [429, null, "busy"],
    [500, "7", "failed"],
    [503, null, "failed"],
    [503, "7", "busy"],
  ])("of %s with Retry-After %s means %s", (status, retryAfter, meaning) => {
    expect(outcomeOf(status, retryAfter, now).is).toBe(meaning);
  });

  test.each([
    ["7", 7_000],
    [" 7 ", 7_000],
    ["007", 7_000],
    ["1.5", 2_000],
    ["0.01", 1_000],
    ["Fri, 20 Nov 2026 10:00:09 GMT", 9_000],
    ["Friday, 20-Nov-26 10:00:09 GMT", 9_000],
    ["Fri Nov 20 10:00:09 2026", 9_000],
    ["Sun Dec  6 10:00:00 2026", 3_600_000],
    ["Fri, 20 Nov 2026 12:00:00 GMT", 3_600_000],
    ["999999999", 3_600_000],
    ["9".repeat(400), 3_600_000],
    // Now, or before: for how long it does not say.
    ["Fri, 20 Nov 2026 09:00:00 GMT", undefined],
    ["Friday, 20-Nov-98 10:00:09 GMT", undefined],
    ["0", undefined],
  ])("of 429, or 503, with Retry-After %s asks for %s ms", (retryAfter, afterMs) => {
    expect(outcomeOf(429, retryAfter, now)).toMatchObject({ is: "busy", afterMs });
    expect(outcomeOf(503, retryAfter, now)).toMatchObject({ is: "busy", afterMs });
  });

  test.each([
    "-1",
    "+7",
    "7, 9",
    "7s",
    "1e3",
    "0x10",
    "2026-11-20T10:00:09Z",
    "Fri, 20 Nov 2026 10:00:09 +0100",
    "Fri, 32 Nov 2026 10:00:09 GMT",
    "soon",
    "",
    null,
  ])("with Retry-After %s is one without", (retryAfter) => {
    expect(outcomeOf(429, retryAfter, now)).toMatchObject({ is: "busy", afterMs: undefined });
    expect(outcomeOf(503, retryAfter, now)).toMatchObject({ is: "failed" });
  });
});

/** An address in each of the forms in which a URL may have it. */
function formsOf(address: string): string[] {
  const [a, b, c, d] = address.split(".").map(Number);
  const whole = ((a * 256 + b) * 256 + c) * 256 + d;
  const hex = (n: number) => `0x${n.toString(16)}`;
  const octal = (n: number) => `0${n.toString(8)}`;
  const groups = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  const v4 = [
    address,
    String(whole),
    hex(whole),
    octal(whole),
    [a, b, c, d].map(hex).join("."),
    [a, b, c, d].map(octal).join("."),
    [hex(a).toUpperCase().replace("X", "x"), octal(b), c, d].join("."),
    `${a}.${(b * 256 + c) * 256 + d}`,
    `${a}.${b}.${c * 256 + d}`,
    address.replaceAll(".", "\u3002"),
    address.replace(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
    address.replace(/\d/g, (digit) => `%3${digit}`),
  ];
  const v6 = ["::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::"].flatMap((net) => [net + address, net + groups]);
  const within = [`2002:${groups}::1`, `2002:${groups}::`, `2001:0:${groups}::1`, `0:0:0:0:0:ffff:${groups}`];
  return [
    ...v4.flatMap((form) => ["", ".", "..", "..."].map((dots) => form + dots)),
    ...[...v6, ...within].map((one) => `[${one}]`),
  ];
}

describe("a target", () => {
  test.each([
    "https://example.com/hook",
    "https://example.com:8443/",
    "https://example.com./",
    "https://hooks.internal.example.com/",
    "https://local.example.org/",
    "https://1.example.org/",
    "https://8.8.8.8/",
    "https://134744072/",
    "https://[2606:4700::1111]/",
    "https://[2a00:1450:4001:830::200e]/",
    "https://[::ffff:8.8.8.8]/",
  ])("%s is allowed", (url) => {
    expect(targetProblem(url, false)).toBeUndefined();
  });

  test.each([
    ["this host", "0.0.0.0"],
    ["this network", "0.1.2.3"],
    ["loopback", "127.0.0.1"],
    ["loopback, not the first", "127.8.9.10"],
    ["private, of 10", "10.1.2.3"],
    ["private, of 172", "172.31.255.254"],
    ["private, of 192", "192.168.1.1"],
    ["link-local, where clouds keep their metadata", "169.254.169.254"],
    ["a carrier's", "100.64.0.1"],
    ["the carrier's, at its end", "100.127.255.255"],
    ["a protocol's", "192.0.0.8"],
    ["a benchmark's", "198.18.0.1"],
    ["documentation's", "203.0.113.7"],
    ["multicast", "224.0.0.1"],
    ["reserved", "240.0.0.1"],
    ["broadcast", "255.255.255.255"],
  ])(
    "at an address that is %s (%s) is refused in every form, and let through where the deployment allows it",
    (_, address) => {
      const passed = formsOf(address).filter((form) => {
        const url = `https://${form}:8443/hook`;
        // What is no URL at all goes nowhere.
        return URL.canParse(url) && targetProblem(url, false) === undefined;
      });
      expect(passed).toEqual([]);
      expect(targetProblem(`https://${address}/`, true)).toBeUndefined();
    },
  );

  test.each([
    "http://example.com/",
    ..."localhost intranet localhost.localdomain a.localhost printer.local db.internal x.lan x.corp x.default.svc x.default.svc.cluster.local nas.home router.home.arpa 1.0.0.127.in-addr.arpa x.private x.test x.example x.invalid x.onion x.consul x.intra x.alt x.localdomain"
      .split(" ")
      .flatMap((name) => [name, `${name}.`, `${name}..`, name.toUpperCase()].map((one) => `https://${one}/`)),
    "https://./",
    "https://example.com.5/",
    ..."[::] [::1] [fc00::1] [fd12:3456::1] [fe80::1] [fec0::1] [ff02::1] [100::1] [2001:db8::1] [2001:2::1] [2001:20::1] [3fff::1] [5f00::1] [4000::1]"
      .split(" ")
      .map((address) => `https://${address}/`),
  ])("%s is refused, and let through where the deployment allows it", (url) => {
    if (!URL.canParse(url)) return expect(targetProblem(url, false)).toBe("the url is not valid");
    expect(targetProblem(url, false)).toBeTruthy();
    expect(targetProblem(url, true)).toBeUndefined();
  });

  test("with credentials in it is refused everywhere", () => {
    expect(targetProblem("https://user:secret@example.com/", true)).toContain("credentials");
  });
});

describe("after a failure", () => {
  const config = { onFailure: "park", maxDeliveries: 3, backoff: [100, 500] } as const;

  test("a list of pauses is gone through, and its last repeats", () => {
    expect([1, 2, 3, 9].map((attempts) => pause([100, 500], attempts))).toEqual([100, 500, 500, 500]);
  });

  test("a growing pause stops at its cap", () => {
    const growing = { initialMs: 100, factor: 3, maxMs: 1_000 };
    expect([1, 2, 3, 4, 500].map((attempts) => pause(growing, attempts))).toEqual([100, 300, 900, 1_000, 1_000]);
  });

  test("up to a quarter is added by chance, and nothing to a pause that was asked for", () => {
    const plan = (chance: number, asked?: number) => planAfter({ ...config, backoff: [100, 500] }, 1, asked, chance);
    expect(plan(0)).toEqual({ next: "retry", delayMs: 100 });
    expect(plan(0.999)).toEqual({ next: "retry", delayMs: 125 });
    expect(plan(0.999, 7)).toEqual({ next: "retry", delayMs: 7 });
  });

  test("the policy comes at the last attempt, not before, and block has no last one", () => {
    const next = (onFailure: "block" | "park" | "skip", attempts: number) =>
      planAfter({ ...config, backoff: [0], onFailure }, attempts, undefined, 0).next;
    expect([next("park", 2), next("park", 3), next("skip", 3), next("block", 1_000)]).toEqual([
      "retry",
      "park",
      "skip",
      "retry",
    ]);
  });
});

test("ranges agree with a set of numbers", () => {
  const step = fc.oneof(
    fc.record({ add: fc.nat(60), length: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ dropBefore: fc.nat(60) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const ranges = new Ranges();
      let set = new Set<number>();
      for (const one of steps) {
        if ("add" in one) {
          ranges.add(one.add, one.add + one.length);
          for (let number = one.add; number < one.add + one.length; number++) set.add(number);
        } else {
          ranges.dropBefore(one.dropBefore);
          set = new Set([...set].filter((number) => number >= one.dropBefore));
        }
      }
      const numbers = [...ranges].flatMap(([from, to]) =>
        Array.from({ length: to - from }, (_, index) => from + index),
      );
      expect(numbers).toEqual([...set].sort((a, b) => a - b));
      for (let number = 0; number < 75; number++) expect(ranges.has(number)).toBe(set.has(number));
      // Neighbours are one range, and bytes bring all of them back.
      const bounds = [...ranges];
      expect(bounds.slice(1).every(([from], index) => from > bounds[index][1])).toBe(true);
      expect([...Ranges.decode(ranges.encode(0), 0)]).toEqual(bounds);
    }),
    { numRuns: 500 },
  );
});

test("a rate is never exceeded, and is ready when it says so", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.nat(2_000), { minLength: 1, maxLength: 40 }),
      (perSecond, burst, waits) => {
        const rate = new Rate(perSecond, burst);
        let now = 1_000_000;
        const start = now;
        let taken = 0;
        for (const wait of waits) {
          now += wait;
          const some = rate.available(now);
          rate.take(some);
          taken += some;
          expect(taken).toBeLessThanOrEqual(burst + (perSecond * (now - start)) / 1_000 + 1e-6);
          now = rate.readyAt(now);
          expect(rate.available(now)).toBeGreaterThanOrEqual(1);
        }
      },
    ),
  );
});

test("a rate over several partitions is never exceeded, over splits, crashes, and shares that change", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("take" as const), which: fc.nat(20), waitMs: fc.nat(3_000) }),
    fc.record({ do: fc.constant("split" as const), which: fc.nat(20), waitMs: fc.nat(100) }),
    fc.record({ do: fc.constant("through" as const), which: fc.nat(20), waitMs: fc.nat(100) }),
    fc.record({ do: fc.constant("crash" as const), which: fc.nat(20), waitMs: fc.nat(100) }),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(step, { minLength: 1, maxLength: 60 }),
      (perSecond, burst, steps) => {
        let now = 1_000_000;
        const start = now;
        const empty = { tokens: 0, burst: 0, at: 0 };
        let parts: { rate: Rate; written: Bucket | undefined; sealed: boolean }[] = [];
        /** The catalog tells them all what their share is. */
        const share = (before: (Bucket | undefined)[]) => {
          const part = 1 / before.length;
          parts = before.map((bucket, at) => {
            const known = parts[at];
            const rate = new Rate(perSecond * part, burst * part, bucket);
            return { rate, written: known?.written, sealed: known?.sealed ?? false };
          });
        };
        share([undefined]);
        let [taken, most] = [0, 1];
        for (const one of steps) {
          now += one.waitMs;
          const at = one.which % parts.length;
          const part = parts[at];
          const left = parts.map(({ rate }) => rate.left(now));
          if (one.do === "take") {
            const some = part.rate.available(now);
            part.rate.take(some);
            part.written = part.rate.toSave(now) ?? part.written;
            taken += some;
          } else if (one.do === "split" && !part.sealed && parts.length < 16) {
            part.sealed = true;
            share([...left, { ...empty, burst: 1, at: now }, { ...empty, burst: 1, at: now }]);
          } else if (one.do === "through" && part.sealed) {
            parts = parts.filter((other) => other !== part);
            share(left.filter((_, place) => place !== at));
          } else if (one.do === "crash" && part.written !== undefined) {
            part.rate = new Rate(part.rate.perSecond, part.rate.burst, part.written);
          }
          most = Math.max(most, parts.length);
          // Less than one record of each partition is neither lent nor lost.
          expect(taken).toBeLessThanOrEqual(burst + (perSecond * (now - start)) / 1_000 + most);
        }
      },
    ),
    { numRuns: 1_000 },
  );
});
