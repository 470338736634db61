/** What npm runs ends with npm: it passes a signal to a shell, which passes it to nobody, and one that is killed passes none. */
import { parentOf } from "../src/node/processes.ts";

const lookMs = 500;

/** `script`: its name in package.json. Calls `stop` once npm, or the shell between, is gone. */
export function endWithNpm(script: string, stop: () => void): void {
  if (process.env.npm_lifecycle_event !== script) return;
  const parents = () => `${process.ppid} ${parentOf(process.ppid)}`;
  const before = parents();
  const looking = setInterval(() => {
    if (parents() === before) return;
    clearInterval(looking);
    stop();
  }, lookMs);
  looking.unref();
}
