import type { Result } from "./compare.ts";

/** For machines. */
export const asJson = (results: readonly Result[]): string => JSON.stringify({ results: results.map(rounded) });

function rounded(result: Result): Record<string, unknown> {
  const entries = Object.entries(result).map(([field, value]) => [
    field,
    typeof value === "number" ? Number(value.toPrecision(5)) : value,
  ]);
  return Object.fromEntries(entries);
}

const columns = ["case", "value", "unit", "baseline", "ratio", "p50 ms", "p99 ms", "baseline p99"] as const;

/** For people. */
export function asTable(results: readonly Result[]): string {
  const rows = results.map((result) => [
    result.name,
    amount(result.value),
    result.unit,
    amount(result.baseline),
    result.ratio?.toFixed(2) ?? "",
    result.p50Ms?.toFixed(2) ?? "",
    result.p99Ms?.toFixed(2) ?? "",
    result.baselineP99Ms?.toFixed(2) ?? "",
  ]);
  const all = [[...columns], ...rows];
  const widths = columns.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const text = (column: number) => column === 0 || column === 2;
  return all
    .map((row) =>
      row
        .map((cell, i) => (text(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function amount(value: number | null): string {
  if (value === null) return "";
  return value < 100 ? value.toFixed(2) : Math.round(value).toLocaleString("en").replaceAll(",", " ");
}
