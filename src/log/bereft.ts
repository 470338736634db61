/** An empty log in the place of one whose database was lost: what its objects say of that one, until it is rebuilt. */
import type { Store } from "./store.ts";
import type { Damage } from "./verify.ts";

const metaName = "bereft";

/** What was lost; undefined where nothing was, or nobody has found it. For a log that has nothing. */
export function bereftOf(meta: Pick<Store, "meta">): Damage | undefined {
  const text = meta.meta(metaName);
  return text === undefined ? undefined : JSON.parse(text);
}

export const setBereft = (meta: Pick<Store, "setMeta">, damage: Damage): void =>
  meta.setMeta(metaName, JSON.stringify(damage));

export const dropBereft = (meta: Pick<Store, "dropMeta">): void => meta.dropMeta(metaName);
