/** Every promise of the doors, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, test } from "vitest";
import type { DoorsPlan, Elsewhere } from "../doors/plan.ts";
import { doors } from "../doors/program.ts";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import { comingIn } from "./doors-in.ts";
import {
  altered,
  alters,
  draft,
  empty,
  feeds,
  key,
  lost,
  odd,
  planOut,
  stray,
  torn,
  twice,
  valued,
} from "./doors-out.ts";
import type { Asked, Lie, Told } from "./liar.ts";
import { finds, keeps } from "./proof.ts";

const elsewhere = (place: string, text: string): Elsewhere => ({ place, value: valued(text) });

const one = feeds(draft(1, "json", key));
const shown: DoorsPlan = { ...one, outs: ["page"] };
const nameless = feeds(draft(1, "json", odd("key", "")));
const two = feeds(draft(1, "json", key), draft(2, "json", odd("key", "other")));
const long = feeds(draft(1, "json", odd("subject", "x".repeat(4097))));
const broken = feeds({ ...draft(1, "json"), data: "bad-plus" });

const appends = /\/streams\/doors\/records\?verdicts=each/;
const isAppend = ({ method, path }: Asked) => method === "POST" && appends.test(path);

/** Another answer than was given to an append. */
const answers = (change: (told: Told, asked: Asked) => void): Lie => ({
  tells: (asked, told) => {
    if (isAppend(asked)) change(told, asked);
  },
});

const stores =
  (change: (record: Json) => void): Lie["asks"] =>
  (asked) => {
    if (isAppend(asked)) for (const record of asked.body?.records ?? []) change(record);
    return undefined;
  };

/** Other terms than were asked for. */
const changes = (path: RegExp, change: (body: Json) => void): Lie => ({
  asks: (asked) => {
    if (path.test(asked.path) && asked.body !== undefined) change(asked.body);
    return undefined;
  },
});

const tells = (path: RegExp, change: (body: Json) => void): Lie => ({
  tells: (asked, told) => {
    if (path.test(asked.path) && told.status < 300) change(told.body);
  },
});

const instead = (status: number): Lie => ({
  asks: (asked) => (isAppend(asked) ? { status, ...refusal(status) } : undefined),
});

const problem = { "content-type": "application/problem+json" };
const refusal = (status: number) => ({
  headers: problem,
  body: { status, code: "invalid", detail: "records.1: key: is not to our taste", retryable: false, clean: true },
});

const details = (change: (detail: string) => string): Lie =>
  answers(({ body }) => {
    body.detail = change(body.detail);
  });

const proofs: Readonly<Record<string, { plan: DoorsPlan; lie: Lie }>> = {
  "never-5xx": { plan: one, lie: instead(502) },
  limits: {
    plan: empty,
    lie: tells(/\/v1\/config$/, ({ limits }) => {
      limits.tagsMax += 1;
    }),
  },
  allowed: { plan: one, lie: instead(400) },
  forbidden: {
    plan: nameless,
    lie: {
      asks: stores((record) => {
        if (record.key === "") delete record.key;
      }),
    },
  },
  "problem, its type": {
    plan: nameless,
    lie: answers((told) => {
      told.headers = { "content-type": "application/json" };
    }),
  },
  "problem, its code": { plan: nameless, lie: answers(({ body }) => delete body.code) },
  "problem, whether it is clean": { plan: nameless, lie: answers(({ body }) => delete body.clean) },
  "problem, whether to retry": { plan: nameless, lie: answers(({ body }) => delete body.retryable) },
  named: { plan: nameless, lie: details((detail) => detail.replace("key: ", "")) },
  "named, above a limit": { plan: long, lie: details((detail) => detail.replace("subject: ", "")) },
  placed: { plan: nameless, lie: details((detail) => detail.replace("records.1: ", "")) },
  "placed, another": { plan: nameless, lie: details((detail) => detail.replace("records.1: ", "records.0: ")) },
  "placed, above a limit": { plan: long, lie: details((detail) => detail.replace("records.1: ", "")) },
  "placed, in the text": {
    plan: broken,
    lie: details((detail) => detail.replace(/column \d+/, "column 3")),
  },
  verdicts: {
    plan: one,
    lie: answers(({ body }) => {
      body.verdicts = [];
    }),
  },
  distinct: {
    plan: feeds(draft(1, "json", odd("id", "\u00e9")), draft(2, "json", odd("id", "e\u0301"))),
    lie: {
      asks: stores((record) => {
        record.id = record.id.normalize("NFC");
      }),
    },
  },
  together: {
    plan: { ...feeds(draft(1, "json", key), draft(2, "ndjson", key)), partitions: 2, outs: ["keys"] },
    lie: answers(({ body }, { headers }) => {
      if (headers["content-type"] === "application/x-ndjson") body.verdicts[0].partition ^= 1;
    }),
  },
  "nothing-else": {
    plan: { ...nameless, outs: ["page"] },
    lie: {
      asks: stores((record) => {
        if (record.key === "") delete record.key;
      }),
      ...answers((told) => Object.assign(told, { status: 400, ...refusal(400) })),
    },
  },
  "asked-for": {
    plan: { ...two, outs: ["keys"] },
    lie: {
      asks: (asked) => {
        asked.path = asked.path.replace(/&key=[^&]*|key=[^&]*&/, "");
        return undefined;
      },
    },
  },
  "asked-for, by a group": {
    plan: { ...two, outs: ["chosen"] },
    lie: changes(/\/groups\/chosen$/, (group) => {
      group.filter = null;
    }),
  },
  "asked-for, by a group for one key": {
    plan: { ...two, outs: ["chosen"] },
    lie: changes(/\/groups\/chosen$/, (group) => {
      group.only = null;
    }),
  },
  "asked-for, by a subscription": {
    plan: { ...two, outs: ["chosen"] },
    lie: alters(/doors\/live$/, {
      '"offset":0,': '"offset":-,',
      '"offset":1,': '"offset":0,',
      '"offset":-,': '"offset":1,',
    }),
  },
  once: { plan: shown, lie: tells(/&limit=200$/, ({ records }) => records.push(records[0])) },
  complete: { plan: shown, lie: tells(/&limit=200$/, ({ records }) => records.pop()) },
  "same-name": {
    plan: { ...feeds(draft(0, "json", key)), again: true },
    lie: {
      // The other way is a line of JSON, and loses the id.
      asks: (asked) => {
        if (isAppend(asked) && asked.headers["content-type"] !== "application/json")
          asked.bytes = Buffer.from(asked.bytes.toString("latin1").replace(/"id":"[^"]*",/, ""), "latin1");
        return undefined;
      },
    },
  },
  "told, who": {
    plan: { ...one, elsewhere: [elsewhere("member", "someone")], outs: ["letters"] },
    lie: tells(/\/dead-letters\?/, ({ letters }) => {
      letters[0].tries[0].member = "nobody";
    }),
  },
  "told, why": {
    plan: { ...one, elsewhere: [elsewhere("reason", "because")], outs: ["letters"] },
    lie: tells(/\/dead-letters\?/, ({ letters }) => {
      letters[0].tries[0].reason = "";
    }),
  },
  "told, of a letter": {
    plan: planOut("letters"),
    lie: tells(/\/dead-letters\?/, ({ letters }) => {
      letters[0].reason = "another";
    }),
  },
  "told, where it was sent on": {
    plan: planOut("letters"),
    lie: tells(/\/dead\/records\?/, ({ records }) => {
      records[0].extensions.deadlettergroup = "other";
    }),
  },
  "told, why, where it was sent on": {
    plan: planOut("letters"),
    lie: tells(/\/dead\/records\?/, ({ records }) => {
      records[0].extensions.deadletterreason = "another";
    }),
  },
  "lanes-told": { plan: { ...one, outs: ["lanes"] }, lie: tells(/\/lanes\/lanes$/, ({ lanes }) => lanes.pop()) },
  "lanes-told, how many": {
    plan: { ...one, outs: ["lanes"] },
    lie: tells(/\/status$/, ({ lanes }) => {
      lanes.parked += 1;
    }),
  },
  readable: {
    plan: shown,
    lie: {
      asks: ({ path }) => (path.endsWith("&limit=200") ? { status: 410, ...refusal(410) } : undefined),
    },
  },
};

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(endAll);

const named = [
  ...Object.entries(proofs).map(
    ([name, proof]) => [name, { invariant: name.split(",")[0] as string, ...proof }] as const,
  ),
  ...altered,
  ...lost,
  ...stray,
  ...torn,
  ...twice,
  ...comingIn,
];
const plans = [...new Set(named.map(([, { plan }]) => plan))];

describe.concurrent("a promise of the doors that is broken is found", () => {
  test.each(named)("%s", (_, proof) => finds(doors, proof, service));

  test("each of them", ({ expect }) => {
    const promised = Object.keys(doors.invariants);
    expect(promised.filter((name) => !named.some(([, { invariant }]) => invariant === name))).toEqual([]);
  });
});

describe.concurrent("without the lie nothing is found", () => {
  test.each(plans.map((plan, i) => [i, plan] as const))("plan %i", (_, plan) => keeps(doors, plan, service));
});
