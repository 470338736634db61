/** Credits of one subscription, lent to its partitions: a message more is sent than was given at most, and nobody waits for ever. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Leg, Spread } from "../../src/http/live/spread.ts";

const room = { room: Number.POSITIVE_INFINITY, heldMax: Number.POSITIVE_INFINITY, promise: () => {} };

interface Source {
  readonly leg: Leg;
  left: number;
  /** Credits that it may still use. */
  has: number;
}

/** Which partition sends next, and how many at most. */
const step = fc.record({ who: fc.nat(), most: fc.integer({ min: 1, max: 8 }) });

test("is sent one message beyond its credits at most, and everything comes", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 6 }),
      fc.array(step, { minLength: 1, maxLength: 100 }),
      // How much of its window the client gives back at once: a quarter, as it is told to, or not before all of it is used up.
      fc.constantFrom(0.1, 0.25, 0.5, 1),
      (window, amounts, steps, lump) => {
        const spread = new Spread(1, 1 as never, window, undefined, undefined, room, {});
        let balance = window;
        let taken = 0;
        const sources = amounts.map((left, partition): Source => {
          const leg = spread.add(partition, 0);
          leg.id = partition;
          return { leg, left, has: 0 };
        });
        const lend = (first = false) => {
          for (const source of sources) {
            const credits = first ? Math.max(1, spread.loan(source.leg)) : spread.loan(source.leg);
            source.leg.lent += credits;
            source.has += credits;
          }
        };
        lend(true);
        const send = ({ leg, ...source }: Source, most: number) => {
          const cost = Math.min(source.left, source.has, most);
          if (cost === 0) return 0;
          const hand = () => {
            expect(balance).toBeGreaterThan(0);
            expect(cost).toBeLessThanOrEqual(window);
            balance -= cost;
            taken += cost;
          };
          spread.take({ leg, cost, next: leg.arrived + cost, current: source.left === cost, hand });
          return cost;
        };
        const turn = (source: Source, most: number) => {
          const sent = send(source, most);
          source.left -= sent;
          source.has -= sent;
          lend();
          const owed = window - balance;
          if (owed < window * lump) return;
          balance = window;
          spread.credit(owed);
          lend();
        };
        for (const { who, most } of steps) turn(sources[who % sources.length], most);
        // In the end each has its turn, as often as it takes.
        for (let round = 0; round < 200; round++) for (const source of sources) turn(source, 100);
        expect(taken).toBe(amounts.reduce((sum, amount) => sum + amount, 0));
      },
    ),
    { numRuns: 2_000 },
  );
});

test("what is held for a client counts with what it was sent, until it is handed on or the subscription is over", () => {
  let promised = 0;
  const sink = {
    room: 1,
    heldMax: 100 * 1024,
    promise: (bytes: number) => {
      promised += bytes;
    },
  };
  const spread = new Spread(1, 1 as never, 100, undefined, undefined, sink, {});
  const leg = spread.add(0, 0);
  leg.id = 0;
  leg.lent = spread.loan(leg);
  const arrive = (cost: number) => {
    const next = leg.arrived + cost;
    spread.take({ leg, cost, next, current: false, hand: () => {} });
  };
  arrive(3);
  expect(promised).toBe(0);
  sink.room = 0;
  arrive(4);
  arrive(5);
  expect(promised).toBe(9 * 1024);
  sink.room = 1;
  spread.flush();
  expect(promised).toBe(0);
  // What a large record will be counts before it has come.
  leg.lent = 0;
  leg.wants = 7;
  leg.lent += spread.loan(leg);
  expect(promised).toBe(7 * 1024);
  sink.room = 0;
  arrive(7);
  expect(promised).toBe(7 * 1024);
  spread.drop();
  expect(promised).toBe(0);
});

test("of all subscriptions of a socket one leg at a time is lent what a large record costs", () => {
  const large = {};
  const [a, b] = [1, 2].map((id) => new Spread(id, 1 as never, 5000, undefined, undefined, room, large));
  const [one, other] = [a, b].map((spread) => Object.assign(spread.add(0, 0), { id: 0, wants: 900 }));
  one.lent += a.loan(one);
  expect([one.lent, b.loan(other)]).toEqual([900, 0]);
  a.take({ leg: one, cost: 900, next: 1, current: false, hand: () => {} });
  expect(b.loan(other)).toBe(900);
  b.drop();
  one.wants = 901;
  expect(a.loan(one)).toBe(901);
});
