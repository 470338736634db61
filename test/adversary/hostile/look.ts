/** What a service holds, as far as somebody with the root token can see: to compare it with what it held before. */
import type { Json } from "../frame/http.ts";
import type { Ground } from "./ground.ts";

export type Look = ReadonlyMap<string, string>;

/** What passes by itself, and what is counted of the service's own work. */
const passing = new Set(["lagSeconds", "rowsWritten", "members", "updatedAt"]);

const lasting = (value: Json): string =>
  JSON.stringify(value, (name, one) => (passing.has(name) ? undefined : one)) ?? "nothing";

export async function look(ground: Ground): Promise<Look> {
  const seen = new Map<string, string>();
  const get = async (path: string) => {
    // Data may be nested deeper than can be written again.
    seen.set(path, path.endsWith("/records") ? await ground.text(path) : lasting(await ground.must("GET", path)));
  };
  const streams = (namespace: string) => `/v1/${namespace}/streams`;
  const of = (namespace: string, stream: string, partitions: number, groups: readonly string[]) => {
    const path = `${streams(namespace)}/${stream}`;
    return [
      `${path}/records`,
      `${path}/groups`,
      ...Array.from({ length: partitions }, (_, p) => `${path}/partitions/${p}`),
      ...groups.flatMap((group) => ["status", "lanes", "dead-letters"].map((one) => `${path}/groups/${group}/${one}`)),
    ];
  };
  await Promise.all(
    [
      "/v1",
      streams(ground.namespace),
      streams(ground.foreign),
      streams(ground.round.name),
      `${streams(ground.namespace)}/${ground.stream}/snapshots`,
      ...of(ground.namespace, ground.stream, 2, ["busy", "quiet"]),
      ...of(ground.namespace, ground.other, 1, ["quiet"]),
      ...of(ground.foreign, ground.stream, 1, []),
    ].map(get),
  );
  return seen;
}

/** Where two looks differ first. */
export function difference(before: Look, after: Look): string | undefined {
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [was = "not there", is = "not there"] = [before.get(path), after.get(path)];
    if (was === is) continue;
    const at = [...was].findIndex((char, i) => char !== is[i]);
    const from = Math.max(0, (at < 0 ? was.length : at) - 60);
    return `${path} was …${was.slice(from, from + 200)}, and is …${is.slice(from, from + 200)}`;
  }
  return undefined;
}
