/** Every promise of an import, broken once on purpose: the program finds it. */
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import type { ImportPlan, JobPlan, Look, RowPlan } from "../import/plan.ts";
import { imports } from "../import/program.ts";
import type { Asked, Lie, Told } from "./liar.ts";
import { finds, keeps, type Proof } from "./proof.ts";

const look: Look = {
  encoding: "utf-8",
  gzip: 0,
  lineEnd: "\n",
  ended: true,
  pad: 100,
  key: "column",
  ids: false,
  time: "none",
  unitSaid: false,
  fields: false,
  delimiter: ",",
  header: "row",
  quoted: "needed",
  numbers: false,
  printing: "object",
  envelope: "none",
  unwrapped: false,
};

const rows = (count: number): RowPlan[] => Array.from({ length: count }, (_, n) => ({ n, key: n % 2, shape: 0 }));
const plan = (change: Partial<JobPlan>, source: Partial<JobPlan["source"]> = {}): ImportPlan => ({
  jobs: [
    {
      kind: "import",
      source: { form: "lines", look, rows: rows(12), ...source },
      partitions: 1,
      batchBytesMax: 24_000,
      door: "file-state",
      json: true,
      onError: "stop",
      runs: [],
      twins: false,
      after: [],
      ...change,
    },
  ],
});
const refusal = (name: string): ImportPlan => ({ jobs: [{ kind: "refusal", name, rows: 20, pipe: false }] });

const usual = plan({});
// Numbers that the liar's JSON keeps.
const changes = plan({}, { form: "changes", rows: rows(6).map((row) => ({ ...row, key: 3 * row.n + 1 })) });
const killed = plan(
  {
    runs: [
      {
        mishaps: [
          { append: 2, at: "answered", kind: "kill", ms: 0 },
          { append: 2, at: "answered", kind: "lost", ms: 0 },
        ],
      },
    ],
  },
  { rows: rows(300) },
);
const bad = plan({}, { rows: rows(12).map((row) => (row.n === 9 ? { ...row, shape: -1 } : row)) });
const other = plan({ after: ["first-changed"] });
const damaged = plan({ after: ["state-cut"] });
const wrong = refusal("semicolons");
const absent = refusal("no-stream");

const isRead = ({ method, path }: Asked) => method === "GET" && /\/streams\/s0\/records\?from=earliest/.test(path);
const isAppend = ({ method, path }: Asked) => method === "POST" && path.includes("/records");
const isInfo = ({ method, path }: Asked) => method === "GET" && /\/streams\/[^/?]+$/.test(path);

/** What is read, once there is something. */
const reads = (change: (records: Json[]) => void): Lie => ({
  tells: (asked, told) => {
    if (isRead(asked) && told.body.records.length > 0) change(told.body.records);
  },
});

/** From the second time on that an importer asks for the stream. */
function later(change: (asked: Asked, told: Told) => void): Lie {
  let asks = 0;
  return {
    tells: (asked, told) => {
      if (isInfo(asked)) asks++;
      if (asks > 1) change(asked, told);
    },
  };
}

const refused = { status: 403, body: { type: "about:blank", code: "forbidden", status: 403, detail: "oh" } };

const proofs: Proof<ImportPlan>[] = [
  {
    invariant: "rows-once",
    plan: usual,
    lie: reads((records) => records.splice(5, 0, records[4])),
  },
  {
    invariant: "rows-order",
    plan: usual,
    lie: reads((records) => records.splice(3, 2, records[4], records[3])),
  },
  {
    invariant: "rows-unchanged",
    plan: usual,
    lie: reads((records) => {
      records[2].data.n = 99;
    }),
  },
  {
    invariant: "ids",
    plan: changes,
    lie: reads((records) => {
      for (const record of records) if (record.id !== undefined) record.id = "same";
    }),
  },
  {
    invariant: "resumes",
    plan: killed,
    lie: later((asked, { body }) => {
      if (isInfo(asked)) body.logId = "another";
    }),
  },
  {
    invariant: "ends",
    plan: usual,
    lie: { asks: (asked) => (isAppend(asked) ? "silence" : undefined) },
    patience: 0.05,
  },
  { invariant: "exit", plan: usual, lie: { asks: (asked) => (isAppend(asked) ? refused : undefined) } },
  {
    invariant: "told",
    plan: absent,
    lie: {
      tells: (asked, told) => {
        if (isInfo(asked)) told.body = { ...told.body, code: "oh", detail: "oh", title: "oh" };
      },
    },
  },
  {
    invariant: "counts",
    plan: usual,
    lie: {
      tells: (asked, { body }) => {
        if (!isAppend(asked)) return;
        for (const run of body.runs) Object.assign(run, { verdict: "duplicate", offset: -run.count });
      },
    },
  },
  { invariant: "bad-rows", plan: bad, lie: reads((records) => records.pop()) },
  {
    invariant: "refused",
    plan: wrong,
    lie: {
      tells: (asked, { body }) => {
        if (isRead(asked)) body.records = [{ partition: 0, offset: 0, timestamp: "2026-01-01T00:00:00.000Z", data: 1 }];
      },
    },
  },
  {
    invariant: "changed",
    plan: other,
    lie: later((asked, { body }) => {
      if (isRead(asked)) body.records.push(body.records.at(-1));
    }),
  },
  {
    invariant: "state",
    plan: damaged,
    lie: later((asked, told) => {
      if (isInfo(asked)) Object.assign(told, refused);
    }),
  },
];

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(endAll);

const named = proofs.map((proof) => [proof.invariant, proof] as const);
const plans = [...new Set(proofs.map((proof) => proof.plan))];

describe("a promise about an import that is broken is found", () => {
  test.each(named)("%s", (_, proof) => finds(imports, proof, service));

  test("each of them", ({ expect }) => {
    const promised = Object.keys(imports.invariants);
    expect(promised.filter((name) => !proofs.some(({ invariant }) => invariant === name))).toEqual([]);
  });
});

describe("without the lie nothing is found", () => {
  test.each(plans.map((one, i) => [i, one] as const))("plan %i", (_, one) => keeps(imports, one, service));
});
