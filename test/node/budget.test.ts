/** What requests hold together: never more than there is, given back once, and forgotten where nobody says any more that it is there. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Budget, type Hold } from "../../src/http/budget.ts";

test("against a list of who holds what", () => {
  const [bytesMax, idleMs] = [1_000, 100];
  const act = fc.record({
    who: fc.nat(5),
    what: fc.constantFrom("grow", "grow", "grow", "set", "touch", "release", "wait"),
    amount: fc.integer({ min: 1, max: 700 }),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
      const budget = new Budget(bytesMax, idleMs);
      const holds: Hold[] = Array.from({ length: 6 }, () => budget.hold());
      let model = new Map<number, { bytes: number; at: number }>();
      const sum = () => [...model.values()].reduce((all, { bytes }) => all + bytes, 0);
      let now = 0;
      for (const { who, what, amount } of acts) {
        const one = model.get(who);
        if (what === "wait") now += amount;
        else if (what === "touch") {
          holds[who].touch(now);
          if (one !== undefined) one.at = now;
        } else if (what === "set") {
          // Of what is there already there may be more than there is room for.
          holds[who].set(amount, now);
          model.set(who, { bytes: amount, at: now });
        } else if (what === "release") {
          holds[who].release();
          model.delete(who);
        } else {
          // Those who were silent make room only where it is wanted.
          if (sum() + amount > bytesMax) model = new Map([...model].filter(([, { at }]) => now - at <= idleMs));
          const fits = sum() + amount <= bytesMax;
          expect(holds[who].grow(amount, now)).toBe(fits);
          if (fits) model.set(who, { bytes: (model.get(who)?.bytes ?? 0) + amount, at: now });
        }
        if (!acts.some((act) => act.what === "set")) expect(sum()).toBeLessThanOrEqual(bytesMax);
        expect(budget.used(0)).toBe(sum());
      }
    }),
  );
});
