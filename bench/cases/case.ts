import type { Result, Settings } from "../compare.ts";
import type { Service } from "../service.ts";

export interface Bench {
  readonly product: Service;
  readonly baseline: Service;
  readonly settings: Settings;
}

/** Measures one thing, or several that are measured together. */
export interface Case {
  readonly names: readonly string[];
  run(bench: Bench): Promise<Result[]>;
}
