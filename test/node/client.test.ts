/** What the client library promises of itself: its size, what it depends on, its types, and examples that compile. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, expectTypeOf, test } from "vitest";
import type { z } from "zod";
import type { erasure, lostNow, RepairInput } from "../../schemas/erasure.ts";
import type { delivery, GroupFilter, groupConfig } from "../../schemas/group.ts";
import type { RecordInput, Verdict as VerdictView } from "../../schemas/record.ts";
import type { leaseView, SnapshotView } from "../../schemas/snapshot.ts";
import type { partitionFacts, StreamPut, StreamView, streamConfig } from "../../schemas/stream.ts";
import type { ticketBody } from "../../schemas/ticket.ts";
import * as client from "../../src/client/index.ts";
import { verifyWebhook } from "../../src/client/webhook.ts";
import { spool } from "../../src/node/index.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = join(root, "src/client");
const bytesMax = 12 * 1_024;

test("has at most 12 KiB compressed, no dependency, and nothing of Node", async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(folder, "index.ts")],
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    define: { LITTLE_CODE: "true" },
    write: false,
    metafile: true,
  });
  expect(gzipSync(outputFiles[0].contents, { level: 9 }).length).toBeLessThan(bytesMax);
  const inputs = Object.keys(metafile.inputs);
  expect(inputs.filter((file) => !/^(src\/client|src\/lib|src\/log|schemas)\//.test(file))).toEqual([]);
});

/** The examples in the comments of public functions, each as the body of a function. */
function examples(): string[] {
  const found: string[] = [];
  for (const file of readdirSync(folder)) {
    for (const [, comment] of readFileSync(join(folder, file), "utf8").matchAll(/\/\*\*([\s\S]*?)\*\//g)) {
      const example = /@example\n([\s\S]*)$/.exec(comment)?.[1];
      if (example !== undefined) found.push(example.replace(/^ *\* ?/gm, ""));
    }
  }
  return found;
}

test("compiles where there is only a browser, and so does every example of its documentation", () => {
  const all = examples();
  expect(all.length).toBeGreaterThan(30);
  const temporary = mkdtempSync(join(tmpdir(), "millrace-examples-"));
  try {
    const names = "Millrace, MillraceError";
    const options = "gzipping, withText";
    writeFileSync(
      join(temporary, "examples.ts"),
      [
        `import { ${names} } from "${folder}/index.ts";`,
        `import { ${options} } from "${folder}/options.ts";`,
        `import { verifyWebhook } from "${folder}/webhook.ts";`,
        "declare const millrace: Millrace;",
        `export const used = [${names}, ${options}, verifyWebhook];`,
        ...all.map((example, index) => `export async function example${index}() {\n${example}\n}`),
      ].join("\n"),
    );
    const compilerOptions = {
      target: "ES2022",
      lib: ["ES2022", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
      types: [],
      module: "ESNext",
      moduleResolution: "bundler",
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      verbatimModuleSyntax: true,
    };
    writeFileSync(join(temporary, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["examples.ts"] }));
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", temporary], { encoding: "utf8" });
  } catch (error) {
    throw new Error((error as { stdout?: string }).stdout || String(error));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});

test("has an example for every public function", () => {
  const text = readdirSync(folder)
    .map((file) => readFileSync(join(folder, file), "utf8"))
    .join("\n");
  const classes = [client.Millrace, client.Stream, client.Group, client.Partition, client.Producer, client.Snapshots];
  const methods = classes.flatMap(({ prototype }) =>
    Object.entries(Object.getOwnPropertyDescriptors(prototype)).flatMap(([name, { get }]) =>
      get === undefined ? name : [],
    ),
  );
  const names = [...methods.filter((name) => name !== "constructor"), "verifyWebhook", "gzipping", "withText"];
  const missing = names.filter((name) => {
    const documented = new RegExp(`@example(?:(?!\\*/)[\\s\\S])*\\*/\\s*(?:export |async |function |\\*)*${name}[<(]`);
    return !documented.test(text);
  });
  expect(names.length).toBeGreaterThan(25);
  expect(missing).toEqual([]);
});

test("has the schemas' types", () => {
  type Mutable<T> = { -readonly [K in keyof T]: T[K] };
  expectTypeOf<Required<Omit<client.NewRecord, "text">>>().toEqualTypeOf<Required<RecordInput>>();
  expectTypeOf<client.Verdict>().toExtend<VerdictView>();
  expectTypeOf<VerdictView>().toExtend<client.Verdict>();
  expectTypeOf<client.Filter>().toEqualTypeOf<GroupFilter>();
  expectTypeOf<client.StreamConfig>().toEqualTypeOf<z.input<typeof streamConfig>>();
  expectTypeOf<client.GroupConfig>().toEqualTypeOf<z.input<typeof groupConfig>>();
  expectTypeOf<Mutable<client.StreamInfo>>().toEqualTypeOf<StreamView>();
  expectTypeOf<Mutable<client.StreamPut>>().toExtend<StreamPut>();
  expectTypeOf<StreamPut>().toExtend<client.StreamPut>();
  expectTypeOf<z.infer<typeof partitionFacts>>().toExtend<client.PartitionFacts>();
  expectTypeOf<client.PartitionFacts>().toExtend<z.infer<typeof partitionFacts>>();
  expectTypeOf<Mutable<client.LostRange>>().toEqualTypeOf<z.infer<typeof lostNow>>();
  expectTypeOf<client.RepairOptions>().toEqualTypeOf<RepairInput>();
  expectTypeOf<z.infer<typeof erasure>>().toExtend<client.Erasure>();
  expectTypeOf<Mutable<client.SnapshotInfo>>().toEqualTypeOf<SnapshotView>();
  expectTypeOf<Mutable<client.SnapshotLease>>().toEqualTypeOf<z.infer<typeof leaseView>>();
  expectTypeOf<client.Right>().toEqualTypeOf<NonNullable<z.input<typeof ticketBody>["rights"]>[number]>();
  expectTypeOf<Pick<client.Delivery, "receipt" | "attempt" | "deliveryId">>().toExtend<
    Pick<z.infer<typeof delivery>, "receipt" | "attempt" | "deliveryId">
  >();
});

test("refuses at once an option that there is not, by its name, whoever takes it", async () => {
  const url = "http://localhost:1";
  const stream = new client.Millrace({ url, fetch: () => new Promise(() => {}) }).stream("s");
  const folder = mkdtempSync(join(tmpdir(), "millrace-spool-"));
  // What TypeScript would not let through.
  const odd = { lingerMS: 1 } as object;
  const open: { close(): Promise<unknown> }[] = [];
  const kept = <T extends { close(options?: object): Promise<unknown> }>(producer: T): T => {
    open.push(producer);
    return producer;
  };
  const takers: Readonly<Record<string, () => unknown>> = {
    client: () => new client.Millrace({ url, ...odd }),
    retry: () => new client.Millrace({ url, retry: odd }),
    read: () => stream.read(odd),
    follow: () => stream.follow(odd),
    consume: () => stream.group("g").consume(() => {}, odd),
    producer: () => stream.producer(odd),
    "a producer's end": () => kept(stream.producer()).close(odd),
    spool: () => spool(folder, odd),
    "a producer with a spool": () => stream.producer({ spool: spool(folder), ...odd }),
    "its end": () => kept(stream.producer({ spool: spool(folder) })).close(odd),
    webhook: () => verifyWebhook("whsec_AAAA", new Headers(), "", odd),
  };
  try {
    for (const [what, take] of Object.entries(takers))
      await expect((async () => take())(), what).rejects.toThrow("there is no option 'lingerMS'");
    // One that is undefined is not given.
    for (const name of ["epoch", "spool", "lingerMs"]) await stream.producer({ [name]: undefined }).close();
  } finally {
    for (const producer of open) await producer.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
