/** What is behind a hole that a rebuild has left continues it, whatever becomes of the hole; and what does not is joined by a repair. */
import { expect, test } from "vitest";
import { Machine } from "../cases/archive.ts";
import { chained } from "../cases/chain.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

/** Rebuilt out of the bucket of three segments and more, in which some objects are missing. */
async function rebuilt(one: Machine, gone: readonly number[] = []): Promise<Machine> {
  const objects = (await one.blobs.list("logs/")).blobs.map(({ key }) => key);
  await one.blobs.delete(gone.map((which) => objects[which]));
  const again = new Machine(nodeSql(), one.blobs, one.spec);
  again.now = one.now;
  expect(await again.history.workshop?.repair({ mode: "rebuild", from: 0 })).toMatchObject({ ok: true });
  return again;
}

async function made(): Promise<Machine> {
  const one = machine({ archive: true });
  for (const key of ["a", "b", "c"]) {
    one.append(ofKey(key));
    one.seal();
    await one.run();
  }
  return one;
}

test.each([[[0]], [[1]], [[0, 1]], [[2]]])("objects %j are missing", async (gone) => {
  const one = await rebuilt(await made(), gone);
  await one.run();
  await chained(one, "uploaded");
  one.append(ofKey("more"));
  one.seal();
  await one.run();
  await chained(one, "gone on");
  const third = await rebuilt(one);
  await third.run();
  await chained(third, "rebuilt again");
});

test("a repair joins what an older version has left apart", async () => {
  const one = await made();
  const { store } = one.log.segments;
  const [first, second] = [...store.from(0)];
  const prev = new Uint8Array(32).fill(7);
  one.log.change(one.now, () => one.log.segments.put({ ...second, prev }));
  for (let from: number | undefined = 0; from !== undefined; ) {
    const repaired: Awaited<ReturnType<NonNullable<typeof one.history.workshop>["repair"]>> | undefined =
      await one.history.workshop?.repair({ mode: "isolate", from });
    if (!repaired?.ok) throw new Error(JSON.stringify(repaired));
    expect(repaired.value.lost).toEqual([]);
    from = repaired.value.next;
  }
  expect(store.at(0)).toMatchObject({ n: first.n, sha: first.sha, origin: prev });
});
