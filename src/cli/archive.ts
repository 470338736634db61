import { s3Names, s3StoreOf } from "../platform/archive.ts";

/** The archive's store as the process's environment names it, for the Worker. Throws where it names half of one. */
export function archiveVars(env: Readonly<Record<string, string | undefined>> = process.env): Record<string, string> {
  s3StoreOf(env);
  return Object.fromEntries(s3Names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}
