/** Locks and folders of the command line. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { lock, unlock } from "../../src/cli/files.ts";
import { makeFolder } from "../../src/cli/folders.ts";
import { begunAt } from "../../src/node/processes.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const busy = (pid: number) => `process ${pid} has it`;

test("a lock is its owner's as long as that lives, and not another process's that has its number", async () => {
  const path = join(folder, "lock");
  const other = spawn("sleep", ["60"]);
  const { pid } = other as { pid: number };
  try {
    writeFileSync(path, `${pid} ${begunAt(pid) ?? ""}`);
    expect(() => lock(path, busy)).toThrow(busy(pid));
    // As an earlier version wrote it.
    writeFileSync(path, String(pid));
    expect(() => lock(path, busy)).toThrow(busy(pid));
    if (begunAt(pid) !== undefined) {
      writeFileSync(path, `${pid} 1`);
      lock(path, busy);
      expect(readFileSync(path, "utf8")).toBe(`${process.pid} ${begunAt(process.pid)}`);
      unlock(path);
    }
    writeFileSync(path, `${pid} ${begunAt(pid) ?? ""}`);
  } finally {
    const gone = new Promise((done) => other.once("exit", done));
    other.kill("SIGKILL");
    await gone;
  }
  lock(path, busy);
  unlock(path);
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
