/** Lines through a pipe: what was in its hands when the forwarder died is nobody's, everything before is there, once. */
import { Lost } from "../frame/http.ts";
import { sleep } from "../frame/time.ts";
import { lineBytes, named, unended } from "./contents.ts";
import { words } from "./forwarder.ts";
import { Judge } from "./judge.ts";
import { Log } from "./log.ts";
import type { InputPlan } from "./plan.ts";
import type { Shown } from "./stream.ts";
import { keyOf, type Watch } from "./watch.ts";

const pieceMs = 2;
/** So many are as small as the plan has them. */
const [piecesMax, restBytes] = [300, 65_536];

export async function forwardInput(plan: InputPlan, watch: Watch): Promise<void> {
  const { forwarder, round, stream } = watch;
  await watch.put(watch.plan.partitions, watch.plan.recordBytes, watch.plan.batchBytes);
  const pipe = new Log(
    0,
    { scheme: "numbered", origin: "there", sparse: false, twice: false, first: [], mark: false },
    forwarder.folder,
    true,
  );
  const bytes = lines(plan, pipe);
  const logs = [pipe];
  const running = forwarder.start([], true);
  const dying = plan.service === undefined ? Promise.resolve() : round.kill(plan.service);
  dying.catch(() => {});
  const isWritten = await poured(watch, bytes, plan);
  if (round.stopped.aborted) return;
  running.child.stdin?.end();
  const ended = isWritten ? await forwarder.end("at the end of its input", 90_000) : await forwarder.stop("SIGKILL");
  await dying;
  watch.that(
    "exit",
    !isWritten || ended?.code === 0,
    () => `at the end of its input it ends with ${ended && words(ended)}`,
  );
  // What was on its way is sent by whoever has the state next.
  const next = forwarder.start([], true);
  next.child.stdin?.end();
  await forwarder.end("at the end of an empty input");
  const shown = await stream.all().catch((error: Error) => {
    if (error instanceof Lost) return stream.all();
    throw error;
  });
  if (!isWritten) forget(pipe, shown);
  const judging = {
    round,
    logs,
    text: watch.plan.options.text,
    key: keyOf(watch.plan),
    limited: undefined,
    unheard: false,
  };
  new Judge(judging).judge(shown, forwarder.kept(), true);
  const sums = isWritten ? forwarder.appended === shown.length : forwarder.appended <= shown.length;
  watch.that("sums", sums, () => `it says that it appended ${forwarder.appended} lines; there are ${shown.length}`);
}

function lines({ lines: plans, open }: InputPlan, pipe: Log): Buffer {
  const pieces = plans.map((plan, i) => {
    const bytes = lineBytes(0, pipe.lines.length, plan);
    const isLast = open && i === plans.length - 1;
    if (unended(bytes).length > 0) {
      const cut = plan.kind.startsWith("long") ? ("anywhere" as const) : ("never" as const);
      const facts = { cut, late: false, doubtful: false, whole: true };
      pipe.lines.push({ log: 0, number: pipe.lines.length, generation: 0, bytes: unended(bytes), ...facts });
    }
    return isLast ? unended(bytes) : bytes;
  });
  return Buffer.concat(pieces);
}

/** Whether all of it was written before the forwarder died. */
async function poured({ forwarder, round }: Watch, bytes: Buffer, { pieces, dies }: InputPlan): Promise<boolean> {
  const stdin = forwarder.current?.child.stdin;
  const until = dies === undefined ? bytes.length : Math.floor(dies * bytes.length);
  for (let at = 0, i = 0; at < until && !round.stopped.aborted; i++) {
    const size = i < piecesMax ? (pieces[i % pieces.length] as number) : restBytes;
    const piece = bytes.subarray(at, Math.min(at + size, until));
    at += piece.length;
    const isFull = stdin?.write(piece) === false;
    if (isFull) await Promise.race([new Promise((done) => stdin?.once("drain", done)), sleep(60_000, round.stopped)]);
    else await sleep(pieceMs, round.stopped);
  }
  return dies === undefined;
}

/** Of what came, nothing is missing between; what came last may have been cut off. */
function forget(pipe: Log, shown: readonly Shown[]): void {
  const numbers = shown.map(({ bytes }) => named(bytes.toString("latin1"))?.number ?? -1);
  const newest = Math.max(-1, ...numbers);
  for (const line of pipe.lines)
    line.doubtful = line.number > newest || (line.number === newest && line.cut === "anywhere");
}
