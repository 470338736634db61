/** What people read: progress, failures with their history, the verdict. */
import { common } from "./checks.ts";
import type { Program, Scale } from "./program.ts";
import type { Shrunk } from "./shrink.ts";
import type { Summary } from "./soak.ts";

export interface Found {
  readonly program: Program;
  readonly seed: string;
  readonly round: number;
  /** The path that the soak was started with. */
  readonly given: readonly string[];
  /** The plan of the round, before anything was taken from it. */
  readonly whole: unknown;
  readonly shrunk: Shrunk<unknown>;
  times: number;
}

const number = (value: number) => value.toLocaleString("en").replaceAll(",", " ");

export function progressText({ program, rounds, operations, kills, found }: Summary): string {
  const failures = found.size === 0 ? "nothing found" : `found: ${[...found.keys()].join(", ")}`;
  return `${program.name}: ${number(rounds)} rounds, ${number(operations)} operations, ${kills} kills, ${failures}`;
}

export function failureText(found: Found, scale: Scale): string {
  const { program, shrunk, seed, round } = found;
  const { violation, history } = shrunk.failure;
  const path = [...found.given, ...shrunk.path];
  const words = { ...common, ...program.invariants }[violation.invariant] ?? "";
  const command = [
    `npm run soak -- ${program.name} --seed ${seed} --round ${round}`,
    ...(path.length > 0 ? [`--path ${path.join(",")}`] : []),
    ...(scale.without.size > 0 ? [`--without ${[...scale.without].join(",")}`] : []),
    ...(scale.tolerated.size > 0 ? [`--tolerate ${[...scale.tolerated].join(",")}`] : []),
    ...(scale.brief ? ["--brief"] : []),
  ].join(" ");
  const [failed, runs] = shrunk.again;
  return [
    "",
    `✗ ${program.name}, ${violation.invariant}: ${words}`,
    `  ${violation.words.replaceAll("\n", "\n  ")}`,
    `  seed ${seed}, round ${round}; again: ${command}`,
    `  the plan: ${program.size(found.whole)}; it failed in ${failed} of ${runs} more runs`,
    ...(shrunk.path.length > 0 ? [`  made smaller: ${program.size(shrunk.plan)}`] : []),
    ...wrapped(JSON.stringify(shrunk.plan)),
    "  what happened, in seconds, about what is concerned:",
    ...history.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

const planCharsMax = 4000;

/** A plan that is short enough to be read. */
function wrapped(json: string): string[] {
  return json.length > planCharsMax ? [] : [`  ${json}`];
}

export function summaryText(summary: Summary): string {
  const { program, checks, found } = summary;
  const names = [...new Set([...Object.keys(common), ...Object.keys(program.invariants), ...checks.counts.keys()])];
  const width = Math.max(...names.map((name) => name.length));
  const counts = names.map((name) => {
    const count = checks.counts.get(name) ?? 0;
    const failures = found.get(name)?.times ?? 0;
    const tolerated = checks.tolerated.get(name) ?? 0;
    const verdict =
      failures > 0
        ? `  BROKEN ${failures} times`
        : tolerated > 0
          ? `  broken ${tolerated} times, tolerated`
          : count === 0
            ? "  never looked at"
            : "";
    return `  ${name.padEnd(width)}  ${number(count).padStart(10)}${verdict}`;
  });
  return [progressText(summary), ...counts, `${program.name}: ${verdictOf(summary)}`].join("\n");
}

function verdictOf({ found, rounds }: Summary): string {
  if (rounds === 0) return "nothing was run";
  if (found.size === 0) return "every promise that was looked at was kept";
  return `${found.size} promises broken: ${[...found.keys()].join(", ")}`;
}
