/** Dumps and restores by the protocol: blocks as the document on storage has them, put together by the caller. */
import { createHash } from "node:crypto";
import { crc32c } from "@aws-crypto/crc32c";
import type { Answer, Json } from "../frame/http.ts";
import type { Model } from "./model.ts";
import type { ScriptRun } from "./script.ts";

const headBytes = 12;
const type = "application/vnd.millrace.dump";
const types = { stream: 2, group: 3, lanes: 5, letter: 6, settled: 17, marks: 9, chunk: 12, close: 14 } as const;

interface Block {
  readonly type: number;
  readonly payload: Buffer;
  readonly bytes: Buffer;
}

function block(kind: number, json: Json): Buffer {
  const payload = Buffer.from(JSON.stringify(json));
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(kind, 4);
  head.writeUInt32LE(payload.length, 8);
  const bytes = Buffer.concat([head, payload]);
  bytes.writeUInt32LE(crc32c(bytes.subarray(4)));
  return bytes;
}

function blocksOf(bytes: Buffer): Block[] {
  const found: Block[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + headBytes + bytes.readUInt32LE(at + 8);
    const whole = bytes.subarray(at, end);
    found.push({ type: whole.readUInt32LE(4), payload: whole.subarray(headBytes), bytes: whole });
    at = end;
  }
  return found;
}

const jsonIn = ({ payload }: Block): Json => JSON.parse(payload.toString());

/** A request's worth of a restore: where it goes, below the stream's path. */
interface Portion {
  readonly path: string;
  readonly blocks: Buffer[];
}

export interface Dump {
  readonly stream: Buffer;
  readonly portions: readonly Portion[];
  readonly bytes: Buffer;
}

/** A dump of all of a stream; undefined where the store that ails has something of it. */
export async function dumped(run: ScriptRun, log: Model): Promise<Dump | undefined> {
  const failed = { yes: false };
  const page = async (path: string): Promise<Answer | undefined> => {
    const answer = await run.answered("GET", log.path + path, {}, run.fault !== undefined);
    if (answer.status === 503 && run.fault !== undefined) {
      failed.yes = true;
      return undefined;
    }
    const fine = answer.status === 200 || answer.status === 410;
    run.that("accepted", fine, () => `GET ${log.path + path} was answered ${answer.status}: ${answer.body}`);
    return answer;
  };
  const first = blocksOf((await page("/dump"))?.body ?? Buffer.alloc(0));
  const [stream, ...groups] = first;
  if (stream === undefined) return undefined;
  const portions: Portion[] = [];
  for (const group of groups) portions.push(...(await groupPortions(page, group)));
  for (const partition of jsonIn(stream).opened as number[]) portions.push(await partitionPortion(page, partition));
  const bytes = Buffer.concat([stream.bytes, ...portions.flatMap(({ blocks }) => blocks)]);
  return failed.yes ? undefined : { stream: stream.bytes, portions, bytes };
}

type Page = (path: string) => Promise<Answer | undefined>;

async function* pagesOf(page: Page, path: string, parameter: string): AsyncGenerator<Answer> {
  for (let after: string | undefined; ; ) {
    const answer = await page(after === undefined ? path : `${path}&${parameter}=${after}`);
    if (answer === undefined) return;
    yield answer;
    after = answer.headers["millrace-next"] as string | undefined;
    if (after === undefined) return;
  }
}

async function groupPortions(page: Page, group: Block): Promise<Portion[]> {
  const { group: name, opened } = jsonIn(group);
  const path = `/groups/${encodeURIComponent(name)}/restore`;
  const portions: Portion[] = [{ path, blocks: [group.bytes] }];
  for (const partition of opened as number[]) {
    const blocks: Block[] = [];
    for await (const { body } of pagesOf(page, `/groups/${name}/dump?partition=${partition}`, "after"))
      blocks.push(...blocksOf(body));
    const lanes = blocks.filter((one) => one.type === types.lanes).flatMap(jsonIn).length;
    const letters = blocks.filter((one) => one.type === types.letter).length;
    const settled = block(types.settled, { group: name, partition, lanes, letters });
    portions.push({ path: `${path}?partition=${partition}`, blocks: [...blocks.map(({ bytes }) => bytes), settled] });
  }
  return portions;
}

const headBlock = 13;

async function partitionPortion(page: Page, partition: number): Promise<Portion> {
  const path = `/partitions/${partition}`;
  const portion: Portion = { path: `${path}/restore`, blocks: [] };
  const state = blocksOf((await page(`${path}/dump?part=state`))?.body ?? Buffer.alloc(0));
  const [marks] = state;
  if (marks === undefined) return portion;
  portion.blocks.push(...state.map(({ bytes }) => bytes));
  const { head, tail } = jsonIn(marks);
  let [chunks, records] = [0, 0];
  for (let from = head as number; from < tail; ) {
    const answer = await page(`${path}/dump?from=${from}&to=${tail}`);
    if (answer === undefined) return portion;
    if (answer.status === 410) {
      // Retention was faster.
      from = Math.min(answer.json.head, tail);
      portion.blocks.push(block(headBlock, { partition, head: from }));
      continue;
    }
    for (const one of blocksOf(answer.body)) {
      chunks++;
      records += one.payload.readUInt32LE(32);
      portion.blocks.push(one.bytes);
    }
    from = Number(answer.headers["millrace-next"] ?? tail);
  }
  portion.blocks.push(block(types.close, { partition, chunks, records }));
  return portion;
}

/** Restores it below a path; the id of its log. */
export async function restored(run: ScriptRun, dump: Dump, path: string, newId: boolean): Promise<string> {
  const post = async (below: string, body: Buffer): Promise<Json> => {
    const headers = { "content-type": type };
    // What is deleted may be in the way for a while.
    const answer = await run.answered("POST", path + below, { headers, body });
    const words = () => `POST ${path + below} was answered ${answer.status}: ${answer.body}`;
    run.that("restored", answer.status < 300, words);
    return answer.json;
  };
  const hash = createHash("sha256").update(dump.bytes).digest("hex");
  const { logId } = await post(`/restore?dump=${hash}&newId=${newId}`, dump.stream);
  for (const { path: below, blocks } of dump.portions) {
    const [plain, query] = below.split("?");
    const named = newId && below.includes("/groups/") ? [query, `newId=${newId}`].filter(Boolean).join("&") : query;
    await post(named === undefined ? (plain as string) : `${plain}?${named}`, Buffer.concat(blocks));
  }
  await post("/restore/finish?resume=true", Buffer.alloc(0));
  return logId;
}
