/** How a soak ends: what was found is told, whatever could not be tried besides. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Violation } from "../adversary/frame/checks.ts";
import type { Program } from "../adversary/frame/program.ts";
import { codeOf, soak } from "../adversary/frame/soak.ts";

/** A repository whose service answers so often, and says nothing of what comes then. */
function repository(starts: number): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-soak-"));
  mkdirSync(join(folder, "scripts"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ scripts: { serve: "node serve.mjs" } }));
  writeFileSync(
    join(folder, "serve.mjs"),
    `import { existsSync, readdirSync, writeFileSync } from "node:fs";
     import { createServer } from "node:http";
     const started = readdirSync(".").filter((name) => name.startsWith("started-")).length;
     if (started >= ${starts}) process.exit(1);
     writeFileSync("started-" + started, "");
     const port = process.argv[process.argv.indexOf("--port") + 1];
     createServer((_, response) => response.end("{}")).listen(port, "127.0.0.1");`,
  );
  return folder;
}

const program = (name: string, run: Program["run"]): Program => ({
  name,
  summary: "",
  invariants: { kept: "what is kept" },
  features: {},
  plan: () => ({}),
  run,
  smaller: () => [],
  size: () => "nothing",
});
const breaks = program("breaks", async (_, round) => {
  await round.kill("term").catch(() => {});
  throw new Violation("kept", "it was not kept");
});
const keeps = program("keeps", async () => {});

test.each([
  ["a promise is broken, and the service does not start again", 1, [breaks, keeps], 1],
  ["the service never starts", 0, [keeps, keeps], 2],
  ["all is well", 9, [keeps], 0],
] as const)("%s", { timeout: 60_000 }, async (_, starts, programs, code) => {
  const folder = repository(starts);
  const said: string[] = [];
  const scale = { brief: true, without: new Set<string>(), tolerated: new Set<string>(), lines: 5 };
  try {
    const summaries = await soak({
      programs,
      seed: "s",
      minutes: 0,
      rounds: 1,
      scale,
      shrinkSeconds: 5,
      folder,
      say: (line) => said.push(line),
    });
    expect(codeOf(summaries)).toBe(code);
    const words = said.join("\n");
    expect(words).not.toMatch(/^\s+at /m);
    if (code === 0) return;
    expect(words).toContain("could not be tried: the service does not start: ended by itself with 1: it said nothing");
    expect(words.includes("it was not kept")).toBe(code === 1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
