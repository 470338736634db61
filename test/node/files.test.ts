/** Locks and folders of the command line. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { lock } from "../../src/cli/files.ts";
import { makeFolder } from "../../src/cli/folders.ts";
import { begunAt } from "../../src/node/processes.ts";
import { times } from "../cases/long.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const busy = (pid: number) => `process ${pid} has it`;

test("a lock is its owner's as long as that lives, and not another process's that has its number", async () => {
  const other = spawn("sleep", ["60"]);
  const { pid } = other as { pid: number };
  const begun = begunAt(pid) ?? "";
  /** What lies at a lock's path: as a file, which earlier versions wrote, or as a folder. */
  const left = (name: string, text: string | undefined) => {
    const path = join(folder, `lock-${name}`);
    if (text !== undefined) writeFileSync(path, text);
    else mkdirSync(path);
    return path;
  };
  const file = left("file", `${pid} ${begun}`);
  const older = left("older", String(pid));
  const inside = left("inside", undefined);
  writeFileSync(join(inside, `lock-${pid}-${begun}`), "");
  try {
    for (const path of [file, older, inside]) expect(() => lock(path, busy)).toThrow(busy(pid));
    if (begun !== "") {
      const reused = left("reused", `${pid} 1`);
      lock(reused, busy)();
      expect(existsSync(reused)).toBe(false);
    }
  } finally {
    const gone = new Promise((done) => other.once("exit", done));
    other.kill("SIGKILL");
    await gone;
  }
  for (const path of [file, older, inside, join(folder, "none")]) {
    const unlock = lock(path, busy);
    expect(() => lock(path, busy)).toThrow(busy(process.pid));
    unlock();
    expect(existsSync(path)).toBe(false);
  }
  expect(() => lock(join(folder, "nowhere/lock"), busy)).toThrow("cannot lock");
});

test("of six at once one has a lock, whatever a dead one has left", { timeout: 180_000 }, async () => {
  const path = join(folder, "raced");
  const execArgv = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
  const racers = Array.from({ length: 6 }, () =>
    fork(resolve(import.meta.dirname, "lock-racer.ts"), [path], { execArgv }),
  );
  const told = async (child: ChildProcess, order: "lock" | "unlock") => {
    const answer = once(child, "message");
    child.send(order);
    return (await answer)[0] as string;
  };
  try {
    await Promise.all(racers.map((child) => once(child, "message")));
    const each = times(2, 6);
    for (let round = 0; round < 3 * each; round++) {
      if (round < each) writeFileSync(path, "999999 1");
      else if (round < 2 * each) {
        mkdirSync(path);
        writeFileSync(join(path, "lock-999999-1"), "");
      }
      const answers = await Promise.all(racers.map((child) => told(child, "lock")));
      expect([...answers].sort()).toEqual([...Array(5).fill("busy"), "locked"]);
      await told(racers[answers.indexOf("locked")] as ChildProcess, "unlock");
      expect(existsSync(path)).toBe(false);
    }
  } finally {
    for (const child of racers) child.kill("SIGKILL");
  }
});

test("a folder is made with those above it, or it is said why not", () => {
  makeFolder(join(folder, "a/b/c"));
  expect(statSync(join(folder, "a/b/c")).isDirectory()).toBe(true);
  makeFolder(join(folder, "a/b/c"));
  writeFileSync(join(folder, "file"), "");
  expect(() => makeFolder(join(folder, "file"))).toThrow("cannot make the folder");
  expect(() => makeFolder(join(folder, "file/below"))).toThrow("cannot make the folder");
  if (process.platform === "linux") {
    for (const path of ["/proc/none", "/proc/none/below"])
      expect(() => makeFolder(path)).toThrow("cannot make the folder");
  }
});
