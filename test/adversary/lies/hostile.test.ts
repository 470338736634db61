/** Every promise to those who mean no good, and to those beside them, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attempt } from "../frame/attempt.ts";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import { marker } from "../hostile/ground.ts";
import type { Attack, HostilePlan } from "../hostile/plan.ts";
import { hostile } from "../hostile/program.ts";
import type { Asked, Lie, Told } from "./liar.ts";
import { finds, keeps, type Proof } from "./proof.ts";
import { WireLiar, type WireLie } from "./wire-liar.ts";

const plan = (...attacks: Attack[]): HostilePlan => ({ attacks });

const stream = "/v1/{ns}/streams/{stream}";
const badLimit: Attack = { kind: "field", operation: `GET ${stream}/groups`, place: "query limit", value: "letter" };
const noStream: Attack = { kind: "field", operation: `GET ${stream}`, place: "path stream", value: "letter" };
const noPartitions: Attack = { kind: "field", operation: `PUT ${stream}`, place: "body partitions", value: "-1" };
const noRecords: Attack = { kind: "field", operation: `POST ${stream}/records`, place: "body records", value: "-1" };
const nobody = (operation: string): Attack => ({ kind: "stranger", operation, credential: "none", way: "header" });
const reader: Attack = { kind: "stranger", operation: `POST ${stream}/records`, credential: "read", way: "header" };
const talk = (...steps: string[]): Attack => ({
  kind: "socket",
  door: "stream",
  partition: true,
  binary: false,
  steps,
});
const few: Attack = { kind: "crowd", who: "heads", count: 1, ms: 300, mebibytes: 1 };

const isBadLimit = ({ path }: Asked) => path.endsWith("/groups?limit=a");
const isNoStream = ({ path }: Asked) => path.endsWith("/streams/a");
const isRecords = ({ method, path }: Asked) => method === "POST" && /\/play-\d+\/records$/.test(path);

const problem = { "content-type": "application/problem+json" };
const refused = (status: number, code: string, more: Json = {}): Told => {
  const body = { type: "x", title: "x", status, code, detail: "x", retryable: false, clean: true, ...more };
  return { status, headers: { ...problem, "retry-after": "1" }, body };
};

const instead = (when: (asked: Asked) => boolean, told: () => Told): Lie => ({
  asks: (asked) => (when(asked) ? told() : undefined),
});
const tells = (when: (asked: Asked) => boolean, change: (told: Told) => void): Lie => ({
  tells: (asked, told) => {
    if (when(asked)) change(told);
  },
});
/** Whoever asks for it is let in as if he had the token. */
const lets = (when: (asked: Asked) => boolean): Lie => ({
  asks: (asked) => {
    if (when(asked)) asked.headers.authorization = "Bearer adversary-root";
    return undefined;
  },
});

type Named = readonly [name: string, proof: Omit<Proof<HostilePlan>, "invariant">];

const proofs: readonly Named[] = [
  ["never-5xx", { plan: plan(badLimit), lie: instead(isBadLimit, () => refused(502, "invalid")) }],
  [
    "never-5xx, a 503 for good",
    { plan: plan(badLimit), lie: instead(isBadLimit, () => refused(503, "damaged", { retryable: false })) },
  ],
  [
    "again",
    {
      plan: plan(noStream),
      patience: 0.2,
      lie: instead(isNoStream, () => refused(503, "unavailable", { retryable: true, clean: false })),
    },
  ],
  [
    "problem, its type",
    {
      plan: plan(noStream),
      lie: tells(isNoStream, (told) => {
        told.headers = { "content-type": "application/json" };
      }),
    },
  ],
  ["problem, its detail", { plan: plan(noStream), lie: tells(isNoStream, ({ body }) => delete body.detail) }],
  [
    "table",
    {
      plan: plan(noStream),
      lie: tells(isNoStream, ({ body }) => {
        body.retryable = true;
      }),
    },
  ],
  [
    "listed",
    {
      plan: plan(noStream),
      lie: tells(isNoStream, ({ body }) => {
        body.code = "lane-not-found";
      }),
    },
  ],
  [
    "schema",
    {
      plan: plan(noPartitions),
      lie: {
        asks: ({ body }) => {
          if (body?.partitions === -1) delete body.partitions;
          return undefined;
        },
      },
    },
  ],
  [
    "stranger",
    {
      plan: plan(nobody(`GET ${stream}`)),
      lie: lets(({ headers, path }) => headers.authorization === undefined && /\/play-\d+$/.test(path)),
    },
  ],
  ["rights", { plan: plan(reader), lie: lets((asked) => isRecords(asked)) }],
  [
    "reads-nothing",
    {
      plan: plan(nobody(`GET ${stream}/records`)),
      lie: tells(
        ({ headers, path }) => headers.authorization === undefined && path.endsWith("/records"),
        ({ body }) => {
          body.detail = `this is not for you: ${marker} 0`;
        },
      ),
    },
  ],
  [
    "learns-nothing",
    {
      plan: plan(nobody(`GET ${stream}`)),
      lie: instead(
        ({ path }) => path.endsWith("/never-there"),
        () => refused(401, "unauthorized", { detail: "not there" }),
      ),
    },
  ],
  [
    "changes-nothing",
    {
      plan: plan(noRecords),
      lie: {
        asks: (asked) => {
          if (asked.body?.records === -1) asked.body.records = [{ data: 1 }];
          return undefined;
        },
        tells: (asked, told) => {
          if (isRecords(asked) && asked.bytes.includes("-1")) Object.assign(told, refused(400, "invalid"));
        },
      },
    },
  ],
  [
    "socket-words",
    {
      plan: plan(talk("append no list")),
      lie: { says: (_, said) => Buffer.from(said.toString("latin1").replace('"detail":', '"detaill":'), "latin1") },
    },
  ],
  [
    "socket-words, a code",
    {
      plan: plan(talk("append no list")),
      lie: { says: (_, said) => Buffer.from(said.toString("latin1").replace('"code":"', '"code":"un'), "latin1") },
    },
  ],
  [
    "ticket-ends",
    {
      plan: plan({ kind: "lasting" }),
      patience: 0.5,
      // The ticket that is asked for is another one.
      lie: {
        asks: ({ path, body }) => {
          if (path.includes("/other-") && body?.expiresInSeconds === 1) body.expiresInSeconds = 60;
          return undefined;
        },
      },
    },
  ],
  ["memory", { plan: plan(few), lie: { machine: { memory: growing() } } }],
  [
    "kept",
    {
      plan: plan(badLimit),
      lie: tells(
        ({ path }) => path.includes("/kept/records?limit="),
        ({ body }) => body.records.pop(),
      ),
    },
  ],
  [
    "kept, twice",
    {
      plan: plan(badLimit),
      lie: tells(
        ({ path }) => path.includes("/kept/records?limit="),
        ({ body }) => body.records.push(body.records[0]),
      ),
    },
  ],
  [
    "kept, for its group",
    {
      plan: plan(badLimit),
      patience: 0.1,
      lie: tells(
        ({ path }) => path.endsWith("/groups/own/receive"),
        ({ body }) => {
          body.deliveries = [];
        },
      ),
    },
  ],
];

/** A GiB more at each look. */
function growing(): () => number {
  let looks = 0;
  return () => looks++ * 2 ** 30;
}

const replaced = (from: string, to: string) => (said: Buffer) => {
  const at = said.indexOf(from, 0, "latin1");
  if (at < 0) return said;
  return Buffer.concat([said.subarray(0, at), Buffer.from(to, "latin1"), said.subarray(at + from.length)]);
};

const raw = (form: string): Attack => ({ kind: "raw", form });

interface WireProof {
  readonly plan: HostilePlan;
  readonly lie: WireLie;
  readonly patience?: number;
}

const passes = (change: (said: Buffer, asked: Buffer) => Buffer): WireLie => ({
  passes: (said, asked) => ({ bytes: change(said, asked) }),
});

/** What HTTP does not say, or what is no HTTP. */
const wireProofs: readonly (readonly [name: string, proof: WireProof])[] = [
  ["never-5xx, in raw", { plan: plan(raw("folded")), lie: passes(replaced("HTTP/1.1 400", "HTTP/1.1 500")) }],
  [
    "framing",
    {
      plan: plan(raw("two lengths")),
      lie: passes((said, asked) => (asked.includes("Content-Length: 6") ? Buffer.concat([said, said]) : said)),
    },
  ],
  [
    "addressed",
    {
      plan: plan(raw("two hosts")),
      lie: passes((said, asked) => (asked.includes("Host: b") ? replaced("HTTP/1.1 404", "HTTP/1.1 200")(said) : said)),
    },
  ],
  ["closings", { plan: plan(talk("no json")), lie: passes(replaced("\x03\xf0", "\x03\xf3")) }],
  [
    "served",
    {
      plan: plan(few),
      patience: 0.15,
      lie: {
        passes: (bytes, asked) => {
          const isLate = asked.subarray(-600).includes("/kept/records?from=-1");
          return { bytes, ...(isLate && { afterMs: 8000 }) };
        },
      },
    },
  ],
];

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(endAll);

const invariantOf = (name: string) => name.split(",")[0] as string;

// One after another: each counts what the others hold in memory.
describe("a promise that is broken is found", () => {
  test.each(proofs)("%s", (name, proof) => finds(hostile, { invariant: invariantOf(name), ...proof }, service));

  test.each(wireProofs)("%s", async (name, { plan: given, lie, patience = 1 }) => {
    const liar = await WireLiar.before(service, lie);
    try {
      const scale = { brief: true, without: new Set<string>(), tolerated: new Set<string>(), lines: 30, patience };
      const { failure } = await attempt(hostile, given, liar.seen, scale);
      expect(failure?.violation.invariant, failure?.violation.words).toBe(invariantOf(name));
    } finally {
      liar.end();
    }
  });

  test("each of them", () => {
    const found = new Set([...proofs, ...wireProofs].map(([name]) => invariantOf(name)));
    const promised = Object.keys(hostile.invariants);
    expect(promised.filter((name) => !found.has(name))).toEqual([]);
  });
});

describe("without the lie nothing is found", () => {
  const plans = [...new Set([...proofs.map(([, { plan }]) => plan), ...wireProofs.map(([, { plan }]) => plan)])];
  test.each(plans.map((given, i) => [i, given] as const))("plan %i", (_, given) => keeps(hostile, given, service));
});
