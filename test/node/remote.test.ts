/** How long a dump waits for a service. */
import { expect, test } from "vitest";
import { Remote } from "../../src/cli/dump/remote.ts";
import { Millrace } from "../../src/client/index.ts";

/** A service that gives these answers, one after another; none where it is undefined. */
function remoteOf(...answers: (Response | undefined)[]) {
  const asked: string[] = [];
  const fetch = async (url: string) => {
    asked.push(url.replace(/.*\/v1\/default/, ""));
    const answer = answers.shift();
    if (answer === undefined) throw new TypeError("fetch failed");
    return answer;
  };
  return { asked, remote: new Remote(new Millrace({ url: "http://nowhere", token: "t", fetch })) };
}
const none = (times: number) => Array.from({ length: times }, () => undefined);

test("one that was never there is given up soon", async () => {
  const { asked, remote } = remoteOf();
  await expect(remote.json("PUT", "", {})).rejects.toMatchObject({ code: "network" });
  expect(asked).toHaveLength(4);
});

test("one that was there is waited for", async () => {
  const { asked, remote } = remoteOf(Response.json({}), ...none(5), Response.json({ n: 1 }));
  await remote.json("PUT", "", {});
  expect(await remote.json("GET", "/streams/a", { n: 0 })).toEqual({ n: 1 });
  expect(asked).toHaveLength(7);
});

test("also where its first answer was that it is busy", async () => {
  const busy = Response.json({ code: "unavailable", detail: "busy", retryable: true, clean: true }, { status: 503 });
  const { remote } = remoteOf(busy, ...none(5), Response.json({ n: 1 }));
  expect(await remote.json("GET", "/streams/a", { n: 0 })).toEqual({ n: 1 });
});

test("streams are listed page by page", async () => {
  const page = (names: string[], after?: string) =>
    Response.json({ streams: names.map((stream) => ({ stream })), after });
  const { asked, remote } = remoteOf(page(["a", "b"], "b"), undefined, page(["c"]));
  const names: string[] = [];
  for await (const name of remote.streams()) names.push(name);
  expect(names).toEqual(["a", "b", "c"]);
  expect(asked).toEqual(["/streams", "/streams?after=b", "/streams?after=b"]);
});
