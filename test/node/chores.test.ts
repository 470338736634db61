/** What a catalog leaves to be done later is done, whatever comes in between. */
import { expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

/** A catalog with a stream of one partition. */
function core(): Catalog {
  const core = new Catalog(nodeSql(), "default");
  value(core.put("s", {}, "a".repeat(20), 0));
  value(core.open("s", 0, 0));
  return core;
}

test("what changes while a delivery is told is told, too", () => {
  const c = core();
  const stream = value(c.stream("s"));
  value(c.groups.put(stream, "g", {}, "b".repeat(20), 0));
  const [job] = c.telling.due(0);
  expect(job).toMatchObject({ partition: 0 });
  value(c.groups.setPaused(stream, "g", true, 0));
  c.telling.settle(job, true, 0);
  const [again] = c.telling.due(0);
  expect(again).toMatchObject({ partition: 0 });
  c.telling.settle(again, true, 0);
  expect(c.telling.due(0)).toEqual([]);
});
