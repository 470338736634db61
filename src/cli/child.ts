/** A delivery as a child process gets it: its data on the standard input, the rest in the environment, or all of it as JSON. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { isJsonType } from "../../schemas/text.ts";
import type { Delivery } from "../client/index.ts";
import { jsonOf, oneLine, textOf } from "./exact.ts";

export type ExactDelivery = Delivery<string | undefined>;

/** The command itself could not be started, whatever the record. */
export class NotStarted extends Error {}

/** Why a command cannot be started, where that can be told beforehand: every delivery would fail of it. */
export function startProblem(command: string): string | undefined {
  // Whatever PATHEXT has.
  if (process.platform === "win32") return undefined;
  const path = pathOf(command);
  if (path === undefined) return whatIs(command);
  const interpreter = interpreterOf(path);
  if (interpreter === undefined || pathOf(interpreter) !== undefined) return undefined;
  return `'${command}' is for ${JSON.stringify(interpreter)}, which is not there: see its first line`;
}

/** Where a program is, by its path or of PATH. */
function pathOf(command: string): string | undefined {
  const folders = command.includes("/") ? [""] : (process.env.PATH ?? "").split(delimiter);
  const paths = folders.map((folder) => (folder === "" ? resolve(command) : join(folder, command)));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

/** Why a command is not one. */
function whatIs(command: string): string {
  const found = command.includes("/") ? statSync(command, { throwIfNoEntry: false }) : undefined;
  if (found === undefined) return `there is no command '${command}'`;
  if (found.isDirectory()) return `'${command}' is a folder, and no command`;
  return `'${command}' may not be executed: chmod +x ${command}`;
}

/** What a script's first line names: with the `\r` of a line of Windows, as the system takes it. */
function interpreterOf(path: string): string | undefined {
  const head = Buffer.alloc(256);
  try {
    const file = openSync(path, "r");
    try {
      readSync(file, head, 0, head.length, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    // One may start what one may not read.
    return undefined;
  }
  return /^#![ \t]*([^ \t\n\0]+)/.exec(head.toString("latin1"))?.[1];
}

/**
 * Starts it in a group of its own: a Ctrl-C at the terminal is ours to act on, and not a failure of what is at work. Throws
 * where the environment cannot hold what the record has; `--stdin record` can.
 */
export function startChild(
  command: string,
  args: readonly string[],
  delivery: ExactDelivery,
  stdin: "data" | "record",
): { readonly child: ChildProcess; readonly ended: Promise<void> } {
  const env = { ...process.env, ...environmentOf(delivery, stdin) };
  const detached = process.platform !== "win32";
  let child: ChildProcess;
  try {
    child = spawn(command, args, { env, stdio: ["pipe", "inherit", "inherit"], detached });
  } catch (error) {
    throw notStarted(command, error);
  }
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", (error) => reject(notStarted(command, error)));
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
  // A child that does not read its input is none of our business.
  child.stdin?.on("error", () => {});
  child.stdin?.end(stdin === "record" ? `${jsonOf(delivery)}\n` : inputOf(delivery));
  return { child, ended };
}

const notStarted = (command: string, error: unknown) =>
  new NotStarted(`'${command}' could not be started: ${(error as Error).message}`);

/** JSON as a line; what is no JSON as its bytes. */
function inputOf({ data, data_base64, datacontenttype }: ExactDelivery): string | Uint8Array {
  if (data_base64 !== undefined) return Buffer.from(data_base64, "base64");
  if (data === undefined) return "";
  const text = datacontenttype === undefined || isJsonType(datacontenttype) ? undefined : textOf(data);
  return text ?? `${oneLine(data)}\n`;
}

/** A comma within a tag stands as `%2C`, and a `%` as `%25`: as in what is pushed. */
const tagText = (tag: string) => tag.replaceAll("%", "%25").replaceAll(",", "%2C");

/** What the record does not have is not set, whatever our own environment has of it. */
export function environmentOf(delivery: ExactDelivery, stdin: "data" | "record"): Record<string, string | undefined> {
  const { partition, offset, timestamp, attempt, deliveryId } = delivery;
  const { key, id, source, type, subject, time, tags, datacontenttype } = delivery;
  const values = {
    PARTITION: String(partition),
    OFFSET: String(offset),
    TIMESTAMP: timestamp,
    ATTEMPT: String(attempt),
    DELIVERY_ID: deliveryId,
    KEY: key,
    ID: id,
    SOURCE: source,
    TYPE: type,
    SUBJECT: subject,
    TIME: time,
    TAGS: tags?.map(tagText).join(","),
    CONTENT_TYPE: datacontenttype,
  };
  const named: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(values)) {
    const holds = value === undefined || !value.includes("\0");
    if (!holds && stdin === "data")
      throw new Error(`MILLRACE_${name} cannot have a NUL, as this record does: --stdin record gives it as JSON`);
    named[`MILLRACE_${name}`] = holds ? value : undefined;
  }
  return named;
}
