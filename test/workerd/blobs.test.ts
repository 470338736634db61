/** Blobs in R2, as miniflare has it; and in an R2 that fails. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { archive, type Env } from "../../src/objects/stubs.ts";
import { archiveOf } from "../../src/platform/archive.ts";
import { patience } from "../../src/platform/patience.ts";
import { r2Blobs } from "../../src/platform/r2.ts";
import { blobCases, pattern, streamOf } from "../cases/blobs.ts";

const bucket = (env as unknown as Env).ARCHIVE as R2Bucket;
const patient = { ...patience, pauseMs: 1, answerMs: 200, stallMs: 200 };

describe("in R2", () => blobCases(() => archive(env as unknown as Env)!));

/** The bucket, but what a method does is put through `change`, which knows how often it was called before. */
function changed(method: keyof R2Bucket, change: (before: number, call: () => Promise<unknown>) => Promise<unknown>) {
  let count = 0;
  const wrapped = new Proxy(bucket, {
    get(target, name) {
      const own = Reflect.get(target, name).bind(target);
      if (name !== method) return own;
      return (...args: unknown[]) => change(count++, () => own(...args));
    },
  });
  return { blobs: r2Blobs(wrapped, patient), calls: () => count };
}

describe("when R2 fails", () => {
  test("asks again what is throttled, broken or lost", async () => {
    await bucket.put("faults/get", "here");
    const faults = ["get: busy (10058)", "get: We encountered an internal error. (10001)", "Network connection lost."];
    const { blobs, calls } = changed("get", async (before, call) => {
      if (before < faults.length) throw new Error(faults[before]);
      return call();
    });
    expect(await blobs.get("faults/get", 1, 2)).toEqual(new TextEncoder().encode("er"));
    expect(calls()).toBe(4);
  });

  test("gives up in the end, and says on what", async () => {
    const { blobs, calls } = changed("list", async () => {
      throw new Error("list: busy (10058)");
    });
    await expect(blobs.list("faults/")).rejects.toThrow(
      "R2 bucket: list of faults/ failed: list: busy (10058) (4 attempts)",
    );
    expect(calls()).toBe(4);
  });

  test("does not ask again what R2 refuses", async () => {
    const { blobs, calls } = changed("get", async () => {
      throw new Error("get: You do not have access. (10003)");
    });
    await expect(blobs.open("faults/get")).rejects.toThrow(/get of faults\/get failed.*10003/);
    expect(calls()).toBe(1);
  });

  test("knows its own object when the answer to a create was lost", async () => {
    const lost = changed("put", async (before, call) => {
      const done = await call();
      if (before === 0) throw new Error("Network connection lost.");
      return done;
    });
    expect(await lost.blobs.create("faults/mine", pattern(10))).toBe(true);
    expect(lost.calls()).toBe(2);
    const late = changed("put", async (before, call) => {
      if (before > 0) return call();
      await bucket.put("faults/theirs", "theirs");
      throw new Error("Network connection lost.");
    });
    expect(await late.blobs.create("faults/theirs", pattern(10))).toBe(false);
  });

  test("aborts what is not there any more", async () => {
    const gone = () => Promise.reject(new Error("abort: The specified multipart upload does not exist. (10024)"));
    const wrapped = { ...bucket, resumeMultipartUpload: () => ({ abort: gone }) } as unknown as R2Bucket;
    await r2Blobs(wrapped, patient).abort("faults/parts", "mark.id");
  });

  test("does not wait for ever, and a stream is sent once", async () => {
    const { blobs, calls } = changed("put", () => new Promise(() => {}));
    await expect(blobs.put("faults/hangs", streamOf(pattern(10)), 10)).rejects.toThrow(/nothing within 201 ms/);
    expect(calls()).toBe(1);
  });
});

describe("the archive of a deployment", () => {
  const whole = {
    MILLRACE_S3_ENDPOINT: "https://s3.example",
    MILLRACE_S3_BUCKET: "b",
    MILLRACE_S3_ACCESS_KEY_ID: "id",
    MILLRACE_S3_SECRET_ACCESS_KEY: "secret",
  };

  test("is what is configured, and one for each environment", () => {
    const none = {};
    expect(archiveOf(none)).toBeUndefined();
    expect(archiveOf(none)).toBeUndefined();
    expect(archiveOf(whole)).toBe(archiveOf(whole));
    expect(archiveOf({ ARCHIVE: bucket, MILLRACE_S3_BUCKET: "not looked at" })).toBeDefined();
  });

  test("is refused when it is half configured", () => {
    for (const name of Object.keys(whole))
      expect(() => archiveOf({ ...whole, [name]: "" }), name).toThrow(`missing: ${name}`);
    expect(() => archiveOf({ MILLRACE_S3_REGION: "eu" })).toThrow(/ENDPOINT, .*BUCKET, .*KEY_ID, .*ACCESS_KEY$/);
    expect(() => archiveOf({ ...whole, MILLRACE_S3_ENDPOINT: "s3.example" })).toThrow(/ENDPOINT is not/);
    expect(() => archiveOf({ ...whole, MILLRACE_S3_ENDPOINT: "https://u:p@s3.example" })).toThrow(/ENDPOINT is not/);
  });
});
