/** Asks before what cannot be undone. */
import { createInterface } from "node:readline";
import { Usage } from "./output.ts";

/**
 * Resolves where it is wanted: with `--yes`, or by the answer of whoever sits at the terminal. `what` says, as a sentence
 * without its end, what will be lost. Throws `Usage` where it is not wanted, or nobody can be asked.
 */
export async function confirm({ yes }: { yes?: boolean | undefined }, what: string): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw new Usage(`${what}: add --yes`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise<string>((resolve) => {
    lines.once("SIGINT", () => {
      lines.close();
      process.kill(process.pid, "SIGINT");
    });
    // Whoever ends the input says nothing.
    lines.once("close", () => resolve(""));
    lines.question(`${what}. Go on? [y/N] `, resolve);
  });
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new Usage("nothing was changed");
}
