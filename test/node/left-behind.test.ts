/** What a lost database has left in a bucket that did not answer when the log was made anew: whoever forgets is told, until it is given up. */
import { expect, test, vi } from "vitest";
import { noteBereft } from "../../src/objects/left-behind.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { Machine, textOf } from "../cases/archive.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

const down = new Proxy({} as Blobs, {
  get: () => () => {
    throw new Error("the bucket does not answer");
  },
});

/** An archived stream of two records, one of Jane's, whose database was lost; `asked`: what the bucket was when that was noticed. */
async function lost(asked: (one: Machine) => Blobs): Promise<Machine> {
  const one = machine({ archive: true });
  for (const key of ["word-of-jane", "joe"]) {
    one.append(ofKey(key));
    one.seal();
  }
  await one.run();
  const again = new Machine(nodeSql(), one.blobs, one.spec);
  again.now = one.now;
  await noteBereft(again.log, asked(again));
  return again;
}

async function forget(one: Machine, id: string) {
  one.history.workshop?.erasures.request(id, { key: "word-of-jane" }, one.now);
  await one.run();
  one.now += 3_600_000;
  await one.run();
  return one.history.workshop?.erasures.get(id);
}

test.each([0, 1, 3])("after %i segments that were archived since", async (segments) => {
  const one = await lost(() => down);
  one.append(ofKey("kim"));
  for (let n = 0; n < segments; n++) {
    one.append(ofKey("lee"));
    one.seal();
    await one.run();
  }
  one.reopen();
  expect(await forget(one, "first")).toMatchObject({ state: "done", unread: [0, 1] });
  expect(await textOf(one.blobs, "logs/")).toContain("word-of-jane");
  for (let from: number | undefined = 0; from !== undefined; ) {
    const repaired: Awaited<ReturnType<NonNullable<typeof one.history.workshop>["repair"]>> | undefined =
      await one.history.workshop?.repair({ mode: "isolate", from });
    if (!repaired?.ok) throw new Error(JSON.stringify(repaired));
    from = repaired.value.next;
  }
  expect(await forget(one, "second")).toMatchObject({ state: "done", unread: [] });
  expect(await textOf(one.blobs, "logs/")).not.toContain("word-of-jane");
  expect((await one.read({ at: "earliest" })).map(({ record }) => record.key)).toEqual([
    "kim",
    ...Array.from({ length: segments }, () => "lee"),
  ]);
});

test("of a bucket that has nothing nobody is told, and it is not asked again", async () => {
  const one = machine({ archive: true });
  await noteBereft(one.log, down);
  one.append(ofKey("kim"));
  one.seal();
  await one.run();
  expect(one.log.segments.meta.meta("unasked")).toBeUndefined();
  expect(await forget(one, "request")).toMatchObject({ state: "done", unread: [] });
});
