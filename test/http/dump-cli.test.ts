/** `millrace dump|restore|verify`: what they refuse, and what they say of a file. */
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scan } from "../system/dump-file.ts";
import { runCli } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-dumps-"));
const file = (name: string) => join(folder, name);
const run = (...args: string[]) => runCli(args, { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });
const done = async (...args: string[]) => {
  const ran = await run(...args);
  expect(ran, ran.err).toMatchObject({ code: 0, err: expect.not.stringContaining("millrace:") });
  return ran.out;
};

beforeAll(async () => {
  millrace = await service();
  for (const [namespace, ...names] of [
    ["shop", "bills", "orders"],
    ["single", "only"],
  ])
    for (const name of names) {
      expect((await millrace.call("PUT", `/v1/${namespace}`)).status).toBeLessThan(300);
      await done("streams", "create", name, "-n", namespace);
      await done("append", name, "1", "2", "3", "-n", namespace);
    }
  await done("dump", "shop", "-o", file("shop"));
  await done("dump", "single", "-o", file("single"));
  for (const name of ["bills", "orders"]) await done("dump", `shop/${name}`, "-o", file(name));
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

describe("dump --resume of a file that is complete", () => {
  test("says so, with what it holds, and --verify that it is intact", async () => {
    const whole = "2 streams, 2 partitions, 0 groups, 6 records";
    expect(await done("dump", "shop", "-o", file("shop"), "--resume")).toBe(
      `${file("shop")} is complete already: ${whole}\n`,
    );
    expect(await done("dump", "shop/orders", "-o", file("orders"), "--resume", "--verify")).toMatch(
      /complete already: 1 stream, .*\n.*orders is intact; SHA-256 [0-9a-f]{64}\n$/,
    );
    // It cannot be told from a dump of its only stream.
    expect(await done("dump", "single", "-o", file("single"), "--resume")).toContain("complete already");
    expect(await done("dump", "single/only", "-o", file("single"), "--resume")).toContain("complete already");
  });

  test.each([
    ["shop/bills", "orders", "the stream 'orders'"],
    ["shop/orders", "shop", "2 streams"],
    ["shop/missing", "shop", "2 streams"],
    ["shop", "orders", "the stream 'orders' only, and not 'bills'"],
    ["shop", "bills", "the stream 'bills' only, and not 'orders'"],
    ["single", "orders", "the namespace 'shop'"],
  ])("refuses %s where the file is a dump of %s", async (what, name, has) => {
    const before = readFileSync(file(name));
    expect(await run("dump", what, "-o", file(name), "--resume")).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringContaining(`it has ${has}; give another file`),
    });
    expect(readFileSync(file(name)).equals(before)).toBe(true);
  });

  test("says that it is damaged where there is more behind its end", async () => {
    for (const more of [Buffer.from("x"), Buffer.alloc(5_000), Buffer.alloc(5_000, 255)]) {
      copyFileSync(file("orders"), file("more"));
      appendFileSync(file("more"), more);
      expect(await run("dump", "shop/orders", "-o", file("more"), "--resume")).toMatchObject({
        code: 1,
        out: "",
        err: expect.stringContaining(`more behind its end, at byte ${statSync(file("orders")).size}`),
      });
    }
  });
});

test("dump --resume of a file that was cut off refuses another's, and goes on with its own", async () => {
  const cut = (name: string) => {
    copyFileSync(file(name), file("cut"));
    truncateSync(file("cut"), statSync(file(name)).size - 10);
  };
  cut("shop");
  for (const what of ["shop/orders", "shop/bills", "single"])
    expect(await run("dump", what, "-o", file("cut"), "--resume"), what).toMatchObject({ code: 2, out: "" });
  expect(await done("dump", "shop", "-o", file("cut"), "--resume")).toContain("dumped 2 streams");
  expect(readFileSync(file("cut")).equals(readFileSync(file("shop")))).toBe(true);
  // What would follow is all of it only where nothing comes before.
  cut("orders");
  expect(await run("dump", "shop", "-o", file("cut"), "--resume")).toMatchObject({ code: 2, out: "" });
  expect(await done("dump", "shop/orders", "-o", file("cut"), "--resume")).toContain("dumped 1 stream,");
  expect(readFileSync(file("cut")).equals(readFileSync(file("orders")))).toBe(true);
});

test("streams delete gives up a restore that was begun", async () => {
  const path = "/v1/single/streams/half";
  const scan = new Scan(file("single"));
  const to = `${path}/restore?newId=true&dump=${"a".repeat(64)}`;
  const begun = await millrace.call("POST", to, scan.body("stream"), scan.type);
  expect(begun.status, begun.text).toBe(201);
  expect((await millrace.call("GET", path)).json.code).toBe("restoring");
  expect(await run("streams", "delete", "half", "-n", "single")).toMatchObject({ code: 2 });
  expect(await done("streams", "delete", "half", "-n", "single", "--yes")).toBe("gave up the restore of half\n");
  expect((await millrace.call("GET", path)).json.code).toBe("stream-not-found");
  expect(await run("streams", "delete", "half", "-n", "single", "--yes")).toMatchObject({ code: 1, out: "" });
});

describe("verify", () => {
  const verified = async (spoil: (bytes: Buffer) => Uint8Array) => {
    writeFileSync(file("spoilt"), spoil(readFileSync(file("shop"))));
    const ran = await run("verify", file("spoilt"), "--json");
    expect(ran).toMatchObject({ code: 1, err: "" });
    return JSON.parse(ran.out).damages.map(({ at, what }: { at: number; what: string }) => `${at}: ${what}`);
  };
  const blocks = () => {
    let at = 8;
    return new Scan(file("shop")).blocks.map(({ bytes }) => {
      at += bytes.length;
      return { from: at - bytes.length, to: at };
    });
  };

  test("finds zeros in the place of blocks once, whatever their number", async () => {
    const { from, to } = blocks()[3];
    for (const zeros of [11, 12, 5_000, 50_001])
      expect(await verified((bytes) => Buffer.concat([bytes.subarray(0, from), Buffer.alloc(zeros)]))).toEqual([
        zeros < 12
          ? `${from}: the file is cut off in the head of a block; what follows cannot be read`
          : `${from}: a block has a length of 0; what follows cannot be read`,
      ]);
    // They begin within a block.
    expect(await verified((bytes) => Buffer.concat([bytes.subarray(0, to - 3), Buffer.alloc(9_000)]))).toEqual([
      `${from}: the checksum of the block does not match; what follows cannot be read`,
    ]);
  });

  test("finds blocks that cannot be read once where they follow each other, and goes on behind them", async () => {
    const [, , one, two, three, , other] = blocks();
    const flip = (bytes: Buffer) => {
      for (const { to } of [one, two, three, other]) bytes[to - 1] ^= 1;
      return bytes;
    };
    expect(await verified(flip)).toEqual([
      `${one.from}: the checksum of the block does not match; nothing can be read up to byte ${three.to}`,
      `${other.from}: the checksum of the block does not match`,
    ]);
  });

  test("finds what is behind the end once", async () => {
    const end = statSync(file("shop")).size;
    for (const more of [Buffer.from("x"), Buffer.alloc(500), readFileSync(file("shop")).subarray(8)])
      expect(await verified((bytes) => Buffer.concat([bytes, more]))).toEqual([`${end}: there is more behind the end`]);
  });
});

test.each([
  ["restore", file("shop")],
  ["dump", "shop", "-o", file("none")],
  ["dump", "shop/orders", "-o", file("none")],
])("%s ends with 3, and soon, where there is no service", async (...args) => {
  const begun = performance.now();
  const ran = await run(...args, "--url", "http://127.0.0.1:1");
  expect(ran).toMatchObject({ code: 3, out: "", err: expect.stringContaining("did not answer") });
  expect(performance.now() - begun).toBeLessThan(10_000);
});

test.each([
  [["dump", "shop/", "-o", file("none")], "'shop/' is no namespace"],
  [["dump", "/orders", "-o", file("none")], "'/orders' is no namespace"],
  [["dump", "shop/a/b", "-o", file("none")], "'shop/a/b' is no namespace"],
  [["dump", "shop", "-o", folder, "--resume"], "is a folder"],
  [["verify", "-"], "give its name"],
  [["verify", folder], "is a folder"],
  [["verify", file("missing")], "no such file"],
  [["restore", "-"], "give its name"],
  [["restore", folder], "is a folder"],
])("%j is refused", async (args, says) => {
  expect(await run(...args)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(says) });
});
