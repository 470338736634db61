/** Of a path that is no route: the route that was meant, as far as it can be seen. */
import { isLike } from "../lib/likeness.ts";

/** What has more segments was not meant for any. */
const segmentsMax = 12;
/** Words that are left out: they say nothing by themselves. */
const needless: ReadonlySet<string> = new Set(["v1", ":ns", "streams"]);

/**
 * The path of the route that comes nearest, with the names that were sent; undefined where none is near. Slashes too many,
 * words that are misspelt and words that are missing are seen; what is there besides is not passed over.
 */
export function nearest(path: string, templates: readonly string[]): string | undefined {
  const words = path.split("/").filter((word) => word !== "");
  if (words.length > segmentsMax) return undefined;
  let best: Fit | undefined;
  for (const template of templates) {
    const fit = fitted(template.split("/").slice(1), words);
    if (fit !== undefined && (best === undefined || fit.cost < best.cost)) best = fit;
  }
  return best && `/${best.path.join("/")}`;
}

interface Fit {
  readonly cost: number;
  readonly path: readonly string[];
}

/** Words of routes: seldom the name of something. */
const reserved: ReadonlySet<string> = new Set(["v1", "streams", "groups", "records", "partitions"]);

/** The words as a template has them, at what cost; undefined where they are nothing like it. */
function fitted(template: readonly string[], words: readonly string[]): Fit | undefined {
  const align = (at: number, word: number, known: boolean): Fit | undefined => {
    if (at === template.length) return word === words.length && known ? { cost: 0, path: [] } : undefined;
    const [wanted, given] = [template[at], words[word]];
    const isName = wanted.startsWith(":");
    const taken = given === undefined ? undefined : costOf(wanted, given);
    const behind = taken === undefined ? undefined : align(at + 1, word + 1, known || !(isName || wanted === "v1"));
    const kept = behind && { cost: behind.cost + (taken as number), path: [isName ? given : wanted, ...behind.path] };
    if (!needless.has(wanted)) return kept;
    const after = align(at + 1, word, known);
    const left = after && { cost: after.cost + 1, path: [isName ? "default" : wanted, ...after.path] };
    if (kept === undefined || left === undefined) return kept ?? left;
    return left.cost < kept.cost ? left : kept;
  };
  return align(0, 0, false);
}

function costOf(wanted: string, given: string): number | undefined {
  if (wanted.startsWith(":")) return reserved.has(given) ? 1.5 : 0;
  if (wanted === given) return 0;
  if (wanted === given.toLowerCase()) return 0.25;
  return isLike(given, wanted) ? 0.5 : undefined;
}
