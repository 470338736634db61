import type { GroupFilter } from "../../schemas/group.ts";
import { hashText, mayContain, seeds } from "./fingerprint.ts";
import type { Rec } from "./record.ts";

/** Conditions of a read. Fields are combined by and; the values of one field by or, or, for tags, as `tagsMatch` says. */
export interface Filter {
  key?: string;
  types?: string[];
  sources?: string[];
  tags?: string[];
  tagsMatch?: "any" | "all";
}

/** A filter as users write it. */
export function filterOf(filter: GroupFilter): Filter {
  const { match, ...rest } = filter;
  return match === undefined ? rest : { ...rest, tagsMatch: match };
}

/** True where a chunk with this fingerprint may hold a match. */
export function chunkMayMatch(filter: Filter, print: Uint8Array): boolean {
  const one = (values: readonly string[] | undefined, seed: number) =>
    values === undefined || values.some((value) => mayContain(print, hashText(value, seed)));
  if (filter.key !== undefined && !one([filter.key], seeds.key)) return false;
  if (!one(filter.types, seeds.type) || !one(filter.sources, seeds.source)) return false;
  if (filter.tagsMatch !== "all") return one(filter.tags, seeds.tag);
  return (filter.tags ?? []).every((tag) => one([tag], seeds.tag));
}

export function matches(filter: Filter, record: Rec): boolean {
  if (filter.key !== undefined && record.key !== filter.key) return false;
  if (filter.types && !filter.types.includes(record.type ?? "")) return false;
  if (filter.sources && !filter.sources.includes(record.source ?? "")) return false;
  if (!filter.tags) return true;
  const has = (tag: string) => record.tags?.includes(tag) ?? false;
  return filter.tagsMatch === "all" ? filter.tags.every(has) : filter.tags.some(has);
}
