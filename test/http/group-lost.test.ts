/** Records that are trimmed before a group has read them: the loss is told, and what comes behind it is delivered. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { dataOf, newGroup, one } from "./group.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

test.each([
  ["a member polls", { waitSeconds: 2 }],
  ["a member asks at once", {}],
] as const)("while %s", async (_how, terms) => {
  for (const read of [0, 3]) {
    const group = await newGroup(millrace);
    await group.append(...Array.from({ length: 20 }, (_, index) => `a${index}`));
    if (read > 0) for (let left = read; left > 0; left--) await group.ack(one(await group.receive({ max: 1 })));
    const trimmed = await millrace.call("POST", `${group.stream}/partitions/0/trim`, { beforeOffset: 20 });
    expect(trimmed).toMatchObject({ status: 200, json: { head: 20, tail: 20 } });
    await group.append("n0");
    const found: unknown[] = [];
    const lost: object[] = [];
    for (let asked = 0; asked < 3 && found.length === 0; asked++) {
      const { json } = await group.post("receive", { ...terms, max: 1_000 });
      found.push(...dataOf(json.deliveries));
      lost.push(...(json.lost ?? []));
    }
    // What had been read is delivered all the same: only the log has lost it.
    expect(found.at(-1)).toBe("n0");
    if (read === 0) expect(lost).toEqual([{ partition: 0, from: 0, to: 20, why: "trimmed" }]);
  }
});

test("and when nothing comes behind it, the next append is", async () => {
  const group = await newGroup(millrace);
  await group.append("a0", "a1");
  await millrace.call("POST", `${group.stream}/partitions/0/trim`, { beforeOffset: 2 });
  expect((await group.post("receive", {})).json).toMatchObject({ deliveries: [], lost: [{ from: 0, to: 2 }] });
  const waiting = group.receive({ waitSeconds: 20 });
  await group.append("b2");
  expect(dataOf(await waiting)).toEqual(["b2"]);
});
