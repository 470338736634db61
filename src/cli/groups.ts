/** `groups …`. */
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  type DeadLetters,
  type Delivery,
  type Group,
  type GroupConfig,
  type GroupInfo,
  type Millrace,
  MillraceError,
} from "../client/index.ts";
import { oneLine } from "./exact.ts";
import { paint, print, table, Usage } from "./output.ts";
import { showing } from "./showing.ts";

const header = ["GROUP", "ORDER", "ON FAILURE", "PUSH", ""];
const row = ({ group, config, paused }: GroupInfo) => [
  group,
  config.order ?? "",
  config.onFailure ?? "",
  config.push?.url ?? "-",
  paused ? "paused" : "",
];

export const showInfo = (info: GroupInfo, json?: boolean) =>
  print(json ? JSON.stringify(info) : table(header, [row(info)]));

/** `push` is sent as a whole: with another url, the rest of it stays. What is shown of its credentials stands for them. */
export async function create(group: Group, config: GroupConfig, url?: string, json?: boolean): Promise<void> {
  const push = url === undefined || config.push !== undefined ? {} : { push: { ...(await pushOf(group)), url } };
  showInfo(await group.put({ ...push, ...config }), json);
}

async function pushOf(group: Group): Promise<GroupConfig["push"]> {
  try {
    return (await group.info()).config.push;
  } catch (error) {
    if (error instanceof MillraceError && error.code === "group-not-found") return undefined;
    throw error;
  }
}

export async function list(millrace: Millrace, stream: string, json?: boolean): Promise<void> {
  const rows: ReturnType<typeof row>[] = [];
  for await (const info of millrace.stream(stream).groups()) {
    if (json) print(JSON.stringify(info));
    else rows.push(row(info));
  }
  if (!json)
    print(
      rows.length === 0 ? "no groups; make one with: millrace groups create <stream> <group>" : table(header, rows),
    );
}

interface PartitionStatus {
  partition: number;
  head: number;
  cursor: number;
  tail: number;
  lag: number;
  inFlight: number;
  deadLetters: number;
  lanes: { retrying: number; parked: number; others: number; full: boolean };
  members: unknown[];
  paused?: { reason: string };
}

/** Once, or again and again in the same place of the terminal until it is stopped. */
export async function status(group: Group, watch: boolean, json?: boolean): Promise<void> {
  for (let lines = 0; ; ) {
    const now = await group.status();
    if (json) print(JSON.stringify(now));
    else {
      const text = statusText(group.name, now as never);
      if (lines > 0) process.stdout.write(`\u001b[${lines}A\u001b[J`);
      print(text);
      lines = process.stdout.isTTY ? text.split("\n").length : 0;
    }
    if (!watch) return;
    await pause(1_000);
  }
}

function statusText(
  name: string,
  now: { lag: number; lagSeconds: number; inFlight: number; deadLetters: number; partitions: PartitionStatus[] },
): string {
  const head = `${paint("bold", name)}  lag ${now.lag} (${now.lagSeconds.toFixed(1)} s)  in flight ${now.inFlight}  dead letters ${now.deadLetters}`;
  const columns = ["PARTITION", "HEAD", "CURSOR", "TAIL", "LAG", "IN FLIGHT", "DEAD", "LANES", "MEMBERS", ""];
  const rows = now.partitions.map((one) => [
    one.partition,
    one.head,
    one.cursor,
    one.tail,
    one.lag,
    one.inFlight,
    one.deadLetters,
    one.lanes.retrying + one.lanes.parked + one.lanes.others,
    one.members.length,
    one.paused === undefined ? "" : `paused: ${one.paused.reason}`,
  ]);
  return `${head}\n${table(columns, rows)}`;
}

export interface ConsumeArgs {
  command: readonly string[];
  concurrency: number;
  member?: string;
  max?: number;
  json?: boolean;
  data?: boolean;
}

/**
 * Writes deliveries to the standard output, or gives each to a child process: its data on the standard input, the rest in
 * the environment. A child that exits with 0 has done it; with another, or by a signal, it comes again.
 */
export async function consume(group: Group<string | undefined>, args: ConsumeArgs): Promise<void> {
  const [command, ...rest] = args.command;
  // Every delivery would fail of it.
  if (command !== undefined && !isExecutable(command)) throw new Usage(`there is no command '${command}'`);
  const show = showing(args);
  let taken = 0;
  let enough = () => {};
  const done = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const handle = async (delivery: Delivery<string | undefined>): Promise<void> => {
    try {
      if (command === undefined) await show(delivery);
      else await runChild(command, rest, delivery);
    } finally {
      // Failed or not: whoever tries a command on one record means one.
      if (++taken === args.max) enough();
    }
  };
  const concurrency = Math.min(args.concurrency, args.max ?? args.concurrency);
  const consumer = group.consume(handle, {
    concurrency,
    ...(args.member === undefined ? {} : { member: args.member }),
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, enough);
  await Promise.race([consumer.done, done]);
  await consumer.stop();
}

/** Whether it is a program, by its path or of PATH. */
function isExecutable(command: string): boolean {
  // Whatever PATHEXT has.
  if (process.platform === "win32") return true;
  const folders = command.includes("/") ? [""] : (process.env.PATH ?? "").split(delimiter);
  return folders.some((folder) => {
    try {
      const path = folder === "" ? resolve(command) : join(folder, command);
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

function runChild(command: string, args: readonly string[], delivery: Delivery<string | undefined>): Promise<void> {
  const { partition, offset, key, type, attempt, deliveryId, timestamp, data, data_base64 } = delivery;
  const env = {
    ...process.env,
    MILLRACE_PARTITION: String(partition),
    MILLRACE_OFFSET: String(offset),
    MILLRACE_KEY: key ?? "",
    MILLRACE_TYPE: type ?? "",
    MILLRACE_TIMESTAMP: timestamp,
    MILLRACE_ATTEMPT: String(attempt),
    MILLRACE_DELIVERY_ID: deliveryId,
  };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["pipe", "inherit", "inherit"] });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} ended with ${signal ?? `exit code ${code}`}`));
    });
    // A child that does not read its input is none of our business.
    child.stdin.on("error", () => {});
    child.stdin.end(data_base64 === undefined ? `${oneLine(data ?? "")}\n` : Buffer.from(data_base64, "base64"));
  });
}

export async function deadLetters(group: Group, json?: boolean): Promise<void> {
  const rows: (string | number)[][] = [];
  for await (const letter of group.http.list<DeadLetters["letters"][number]>(`${group.path}/dead-letters`, "letters")) {
    if (json) print(JSON.stringify(letter));
    else
      rows.push([letter.letter, String(letter.key ?? "-"), Number(letter.attempts ?? 0), String(letter.reason ?? "")]);
  }
  if (!json) print(rows.length === 0 ? "no dead letters" : table(["LETTER", "KEY", "ATTEMPTS", "REASON"], rows));
}
