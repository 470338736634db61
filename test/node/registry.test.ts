/** The list of namespaces agrees with their catalogs, however creations, deletions and the news of them overtake each other. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { Registry } from "../../src/objects/registry.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { nodeSql } from "./sqlite.ts";

const turns = async (count: number) => {
  for (let left = count; left > 0; left--) await new Promise(setImmediate);
};

/** Creates or deletes; the call and its answer, and then the news, take so many turns. */
const step = fc.record({ create: fc.boolean(), news: fc.nat(4), there: fc.nat(3), back: fc.nat(12), fails: fc.nat(9) });

test("whoever is told last has heard the newest", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
      const namespace = new Catalog(nodeSql(), "shop");
      const list = new Catalog(nodeSql(), "$registry");
      const asks = steps.slice();
      const describe = async () => {
        const { there = 0, back = 0, fails = 1 } = asks.pop() ?? {};
        await turns(there);
        const answer = namespace.describe();
        await turns(back);
        if (fails === 0) throw new Error("overloaded");
        return answer;
      };
      const registry = new Registry({ CATALOG: { getByName: () => ({ describe }) } } as unknown as Env, list);
      let now = 1;
      const request = async ({ create, news }: (typeof steps)[number]): Promise<void> => {
        if (create) namespace.create(now++);
        else namespace.destroy(true, now++);
        await turns(news);
        // A client that got no answer asks again.
        while (
          !(await registry.relist("shop").then(
            () => true,
            () => false,
          ))
        );
      };
      const requests: Promise<void>[] = [];
      for (const one of steps) {
        requests.push(request(one));
        await turns(1);
      }
      await Promise.all(requests);
      const { created } = namespace;
      const { items } = list.namespaces({ prefix: "shop", limit: 10 });
      expect(items).toEqual(created === undefined ? [] : [{ name: "shop", created }]);
    }),
    { numRuns: 500 },
  );
});
