/** Consumer groups that take all of a log of one partition, against reading the same records without a group. */
import { compare, figure, type Result } from "../compare.ts";
import { failEach, fill, type Log, listen, pull, push, pushAround, read, withGroup } from "../consume.ts";
import type { Measured } from "../load.ts";
import { Receiver } from "../receiver.ts";
import type { Service } from "../service.ts";
import type { Bench, Case } from "./case.ts";

/** One of a hundred keys fails always. */
const [keys, badEvery, badAt] = [1_000, 100, 50];
/** Records that are pushed one by one, each a request. */
const singleShare = 20;
const rowsName = "rows.per1000.delivered";

const filled = new WeakMap<Service, Promise<Log>>();

function logOf({ product, settings }: Bench): Promise<Log> {
  let log = filled.get(product);
  if (log === undefined) {
    log = fill(product, "groups", settings.groupRecords);
    filled.set(product, log);
  }
  return log;
}

export const groupCases: readonly Case[] = [
  {
    names: ["groups.pull", rowsName],
    async run(bench) {
      const { product } = bench;
      const log = await logOf(bench);
      let rows = Number.NaN;
      const result = await against(bench, "groups.pull", log, () =>
        withGroup(product, log, async (group) => {
          const before = await rowsWritten(product, group);
          const measured = await pull(product, group, log, { members: 1 });
          rows = (await rowsWritten(product, group)) - before;
          return measured;
        }),
      );
      return [result, figure(rowsName, (rows / log.records) * 1_000, "rows")];
    },
  },
  ...[
    { name: "groups.pull.ack", terms: { members: 1, apart: true } },
    { name: "groups.pull.c4", terms: { members: 4 } },
  ].map(({ name, terms }) => ({
    names: [name],
    run: async (bench: Bench) => {
      const log = await logOf(bench);
      const round = () => withGroup(bench.product, log, (group) => pull(bench.product, group, log, terms));
      return [await against(bench, name, log, round)];
    },
  })),
  {
    names: ["groups.push"],
    async run(bench) {
      const log = await logOf(bench);
      const receiver = await Receiver.open();
      try {
        return [await against(bench, "groups.push", log, () => push(bench.product, receiver, log))];
      } finally {
        receiver.close();
      }
    },
  },
  {
    names: ["groups.socket"],
    async run(bench) {
      const log = await logOf(bench);
      const round = () => withGroup(bench.product, log, (group) => listen(bench.product, group, log));
      return [await against(bench, "groups.socket", log, round)];
    },
  },
  {
    names: ["groups.poisoned"],
    async run(bench) {
      const { product } = bench;
      const log = await fill(product, "poisoned", bench.settings.groupRecords, keys);
      const bad = (offset: number) => (offset % keys) % badEvery === badAt;
      const poisoned = () => withGroup(product, log, (group) => pull(product, group, log, { members: 1, bad }));
      const sound = () => withGroup(product, log, (group) => pull(product, group, log, { members: 1 }));
      return [await rounds(bench, "groups.poisoned", poisoned, sound)];
    },
  },
  ...[100, 10].map((every): Case => {
    const name = `groups.poisoned.push.${100 / every}pc`;
    return {
      names: [name],
      async run(bench) {
        const { product } = bench;
        const log = await fill(product, `singles-${every}`, bench.settings.groupRecords / singleShare, keys);
        const receiver = await Receiver.open();
        const bad = (offset: number) => offset % every === every / 2;
        const poisoned = () => pushAround(product, receiver, log, bad);
        const sound = () => pushAround(product, receiver, log, () => false);
        try {
          return [await rounds(bench, name, poisoned, sound)];
        } finally {
          receiver.close();
        }
      },
    };
  }),
  ...[
    { name: "rows.per1000.failed", terms: {} },
    { name: "rows.per1000.lettered", terms: { maxDeliveries: 1, onFailure: "skip" } },
  ].map(
    ({ name, terms }): Case => ({
      names: [name],
      async run({ product }) {
        const log = await fill(product, name, 1_000);
        const group = await product.group(log.stream, "failing", { maxInFlight: 5_000, ...terms });
        const before = await rowsWritten(product, group);
        await failEach(product, group, log);
        const rows = (await rowsWritten(product, group)) - before;
        return [figure(name, (rows / log.records) * 1_000, "rows")];
      },
    }),
  ),
];

/** The status is asked when everything is acked: whatever is left by then was lost. */
async function rowsWritten(product: Service, group: string): Promise<number> {
  return (await product.groupFacts(group)).partitions.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0);
}

const against = (bench: Bench, name: string, log: Log, round: () => Promise<Measured>) =>
  rounds(bench, name, round, () => read(bench.product, log));

async function rounds(
  { settings }: Bench,
  name: string,
  ours: () => Promise<Measured>,
  theirs: () => Promise<Measured>,
): Promise<Result> {
  const times = { rounds: settings.groupRounds, roundMs: 0, warmMs: settings.warmMs };
  const { baselineP99Ms, ...result } = await compare(name, ["records/s", 1], [ours, theirs], times);
  const shown = (ms: number | null = null) => (ms === null || Number.isNaN(ms) ? null : ms);
  const theirP99 = shown(baselineP99Ms);
  return {
    ...result,
    p50Ms: shown(result.p50Ms),
    p99Ms: shown(result.p99Ms),
    ...(theirP99 !== null && { baselineP99Ms: theirP99 }),
  };
}
