/** The writer needs nothing that workerd lacks. That the files are right is tested where DuckDB runs. */
import { expect, test } from "vitest";
import { ParquetSegment } from "../../src/archive/parquet.ts";
import { framesOf, json } from "../cases/parquet.ts";

test("a segment becomes a Parquet file", () => {
  const segment = new ParquetSegment(0, [{ name: "n", path: "n", type: "int" }]);
  for (let base = 0; base < 20_000; base += 5_000) {
    const list = Array.from({ length: 5_000 }, (_, i) => json({ n: base + i, pad: "x".repeat(100) }, { tags: ["t"] }));
    segment.add(framesOf(list, base, base, true));
  }
  const file = segment.finish();
  const text = (from: number, to?: number) => new TextDecoder().decode(file.slice(from, to));
  expect([text(0, 4), text(-4)]).toEqual(["PAR1", "PAR1"]);
});
