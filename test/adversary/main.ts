/** `npm run soak`: programs that know only the documents try to break what they promise. */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Program } from "./frame/program.ts";
import { endAll } from "./frame/service.ts";
import { codeOf, type SoakOptions, soak } from "./frame/soak.ts";
import { programs } from "./programs.ts";

const described = (program: Program) => {
  const features = Object.entries(program.features).map(([name, words]) => `               ${name}: ${words}`);
  return [`  ${program.name.padEnd(10)} ${program.summary}`, ...features].join("\n");
};

const help = () => `npm run soak -- [program …] [options]

Runs programs against a service of their own that is killed now and then, and says which promise was broken. No program
named: all of them. A seed repeats a plan; what the machine does between is not repeatable.

  --minutes 10          in all; the programs share them
  --seed S              what the plans are drawn from; a new one where it is left out
  --round N             only this round of the seed
  --path a,b            of its plan, what a failure's report has left
  --without x,y         plans without these features (listed below)
  --tolerate x,y        go on where these promises (as a report names them) are broken
  --shrink-seconds 60   how long to look for a shorter history of a failure; 0: not at all
  --lines 80            of the history of a failure
  --service DIR         the repository whose service is tried; this one where it is left out
  --brief               the short rounds of npm test
  --names               says which programs there are, and nothing else
  --help

Ends with 0: every promise was kept; 1: one was broken, whatever else; 2: one could not be tried.

Programs, and the features that they can do without:
${programs.map(described).join("\n")}
`;

class Usage extends Error {}

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < least) {
    throw new Usage(`--${name} ${text}: a number from ${least} on is wanted`);
  }
  return value;
}

const listed = (text: string) => text.split(",").filter((part) => part !== "");

function chosen(names: readonly string[]): Program[] {
  if (names.length === 0) return [...programs];
  return names.map((name) => {
    const program = programs.find((one) => one.name === name);
    if (program === undefined) throw new Usage(`there is no program '${name}'; see --help`);
    return program;
  });
}

function parsed(args: string[]): SoakOptions | "help" | "names" {
  const { values, positionals } = parse(args);
  if (values.help) return "help";
  if (values.names) return "names";
  const picked = chosen(positionals);
  const without = new Set(values.without.flatMap(listed));
  for (const feature of without) {
    if (picked.some((program) => feature in program.features)) continue;
    throw new Usage(`--without ${feature}: no program that was named has it; see --help`);
  }
  if (values.path !== undefined && (values.round === undefined || picked.length !== 1)) {
    throw new Usage("--path is of one --round of one program");
  }
  return {
    programs: picked,
    seed: values.seed ?? randomBytes(4).toString("hex"),
    minutes: numberOf("minutes", values.minutes, 0),
    ...(values.round !== undefined && { round: numberOf("round", values.round, 0) }),
    ...(values.path !== undefined && { path: listed(values.path) }),
    scale: {
      brief: values.brief,
      without,
      tolerated: new Set(values.tolerate.flatMap(listed)),
      lines: numberOf("lines", values.lines, 1),
    },
    ...(values.service !== undefined && { folder: resolve(values.service) }),
    shrinkSeconds: numberOf("shrink-seconds", values["shrink-seconds"], 0),
    say: (line) => console.log(line),
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        minutes: { type: "string", default: "10" },
        seed: { type: "string" },
        round: { type: "string" },
        path: { type: "string" },
        without: { type: "string", multiple: true, default: [] },
        tolerate: { type: "string", multiple: true, default: [] },
        "shrink-seconds": { type: "string", default: "60" },
        service: { type: "string" },
        lines: { type: "string", default: "80" },
        brief: { type: "boolean", default: false },
        names: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new Usage((error as Error).message);
  }
}

/** However it ends, nothing that was started is left behind. */
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.once(signal, () => {
    endAll();
    process.exit(code);
  });
}
process.once("exit", endAll);

try {
  const run = parsed(process.argv.slice(2));
  if (run === "help") console.log(help());
  else if (run === "names") console.log(programs.map(({ name }) => name).join("\n"));
  else process.exitCode = codeOf(await soak(run));
} catch (error) {
  console.error(error instanceof Usage ? `${error.message}` : error);
  process.exitCode = 2;
}
process.exit();
