/** Ports that cannot be listened on: why, and what to do. */
import { createServer } from "node:net";

type Code = string | undefined;

/** The code of what comes of listening there; undefined where nothing keeps us from it. */
export function listening(port: number, host: string): Promise<Code> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", ({ code }: NodeJS.ErrnoException) => done(code));
    server.listen({ port, host, exclusive: true }, () => server.close(() => done(undefined)));
  });
}

/** What is wrong with a port of this machine's own addresses, as one line. `command` is what takes `--port`. */
export async function portProblem(port: number, command: string): Promise<string | undefined> {
  const codes = await both(port);
  if (codes.includes("EACCES")) return forbidden(port);
  if (!codes.includes("EADDRINUSE")) return undefined;
  const answer = await fetch(`http://localhost:${port}/healthz`, { signal: AbortSignal.timeout(1_000) }).catch(
    () => {},
  );
  const by = answer?.ok ? "another service" : "another program";
  return `port ${port} is taken by ${by}. Stop it, or choose another port: ${command} --port ${await freeAfter(port)}`;
}

export const forbidden = (port: number): string =>
  `this user may not listen on port ${port}; choose one from 1024 on with --port`;

async function freeAfter(port: number): Promise<number> {
  for (let next = port + 1; next < 65_536; next++)
    if ((await both(next)).every((code) => code === undefined)) return next;
  return 0;
}

/** Where a machine has but one of them, the other is nobody's. */
async function both(port: number): Promise<Code[]> {
  const codes = await Promise.all([listening(port, "127.0.0.1"), listening(port, "::1")]);
  return codes.map((code) => (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT" ? undefined : code));
}
