/**
 * Files of tests share a process, one after the other. What one of them leaves running (a producer that tries again and again, a
 * follower) makes another fail, now and then and far from its cause: here it fails by its own name.
 */
import { afterAll, expect } from "vitest";

interface Timers {
  /** The file of tests that runs now. */
  file: string | undefined;
  /** A timer of another file that fired in this one: the first. */
  left: Error | undefined;
}

const shared = globalThis as { millraceTimers?: Timers };

function watched(): Timers {
  const timers: Timers = { file: undefined, left: undefined };
  const { setTimeout: once, setInterval: often } = globalThis;
  const watching =
    (set: typeof once | typeof often) =>
    (callback: (...given: unknown[]) => void, ms?: number, ...given: unknown[]) => {
      const { file } = timers;
      const left = new Error(`${file} left something running that sets timers; it must end with its tests`);
      const fired = () => {
        if (timers.file !== file) timers.left ??= left;
        callback(...given);
      };
      return set(fired, ms);
    };
  Object.assign(globalThis, {
    setTimeout: Object.assign(watching(once), once),
    setInterval: Object.assign(watching(often), often),
  });
  return timers;
}

shared.millraceTimers ??= watched();
const timers = shared.millraceTimers;
timers.file = expect.getState().testPath;
timers.left = undefined;

afterAll(() => {
  if (timers.left !== undefined) throw timers.left;
});
