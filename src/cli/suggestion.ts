/** Which command was meant by one that there is not. */
import { isLike } from "../lib/likeness.ts";

/** Words of other command lines, and what they are here. */
const others: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    append: "publish produce producer push send write put pub",
    "groups consume <stream> <group>": "consume consumer subscribe receive sub work",
    read: "get cat fetch dump-records",
    "tail -f": "watch follow listen live",
    "streams list": "list ls topics topic",
    "streams create": "create make new",
    "streams delete": "delete remove rm",
    "streams show": "show describe info",
    "groups status": "status lag offsets",
    dev: "serve start server up run",
    doctor: "health ping check test",
    context: "config login contexts",
  }).flatMap(([command, words]) => words.split(" ").map((word) => [word, command])),
);

/** A slip of the pen, or a word of others; `known` are the commands where the word stands. Undefined where neither is seen. */
export function suggestion(word: string, known: readonly string[]): string | undefined {
  const like = known.find((one) => isLike(word, one));
  if (like !== undefined) return like;
  // Behind `groups` those of the whole are not meant.
  return known.includes("append") && Object.hasOwn(others, word) ? others[word] : undefined;
}
