/** The routes of snapshots: which words a path may have in place of an offset or a number is decided here. */
import type { Right } from "../../../schemas/ticket.ts";
import type { Env } from "../../objects/stubs.ts";
import { problem } from "../problem.ts";
import { snapshotPaths } from "./operations.ts";
import { getSnapshot, listSnapshots } from "./read.ts";
import {
  abortUpload,
  beginUpload,
  completeUpload,
  dropSnapshot,
  leaseSnapshot,
  putPart,
  putSnapshot,
} from "./write.ts";

/** A request, and the names in its path. */
export interface Asked {
  readonly request: Request;
  readonly env: Env;
  readonly names: {
    readonly namespace: string;
    readonly stream: string;
    readonly snapshot: string;
    readonly upload: string;
    readonly part: string;
  };
}

type Route = (asked: Asked) => Promise<Response> | Response;

/** A path has a word where another is known. */
const misspelt = (word: string, known: string) =>
  problem({
    code: "invalid",
    detail: `path: '${word.slice(0, 64)}': there is only '${known}' to post to`,
    facts: { path: known },
  });

export const snapshotRoutes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
  [snapshotPaths.all]: { GET: ({ request, env, names }) => listSnapshots(request, env, names) },
  [snapshotPaths.one]: {
    GET: ({ request, env, names }) => getSnapshot(request, env, names),
    PUT: ({ request, env, names }) => putSnapshot(request, env, names),
    POST: (asked) =>
      asked.names.snapshot === "lease"
        ? leaseSnapshot(asked.request, asked.env, asked.names)
        : misspelt(asked.names.snapshot, "lease"),
    DELETE: ({ request, env, names }) => dropSnapshot(request, env, names),
  },
  [snapshotPaths.uploads]: { POST: ({ request, env, names }) => beginUpload(request, env, names) },
  [snapshotPaths.upload]: { DELETE: ({ request, env, names }) => abortUpload(request, env, names) },
  [snapshotPaths.part]: {
    PUT: ({ request, env, names }) => putPart(request, env, names, names.part),
    POST: (asked) =>
      asked.names.part === "complete"
        ? completeUpload(asked.request, asked.env, asked.names)
        : misspelt(asked.names.part, "complete"),
  },
};

/** Whoever consumes makes snapshots; taking one away from others is an operator's. */
export function needOfSnapshots(path: string, method: string): readonly Right[] | undefined {
  if (!path.startsWith(snapshotPaths.all)) return undefined;
  if (method === "GET") return ["read"];
  return path === snapshotPaths.one && method === "DELETE" ? ["admin"] : ["consume", "admin"];
}
