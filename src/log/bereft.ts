/** An empty log in the place of one whose database was lost: what its objects say of that one, until it is rebuilt. */
import type { Refusal } from "../../schemas/errors.ts";
import type { Store } from "./store.ts";
import type { Damage } from "./verify.ts";

const metaName = "bereft";

/** Why a log that has nothing cannot be read; undefined where nothing was lost, or nobody has found it. */
export function bereftOf(store: Pick<Store, "meta">): Refusal | undefined {
  const text = store.meta(metaName);
  if (text === undefined) return undefined;
  const { from, to, reason }: Damage = JSON.parse(text);
  const { partition } = JSON.parse(store.meta("spec") ?? "{}");
  const detail = `partition ${partition} cannot be read: ${reason}`;
  return { code: "damaged", detail, facts: { partition, from, to } };
}

/** Why it takes nothing either: its offsets would be those of what is in the bucket, which could not be had any more then. */
export function shutBereft(store: Pick<Store, "meta">): Refusal | undefined {
  const lost = bereftOf(store);
  if (lost === undefined) return undefined;
  return { ...lost, code: "unavailable", detail: lost.detail.replace("cannot be read", "takes nothing") };
}

export const setBereft = (meta: Pick<Store, "setMeta">, damage: Damage): void =>
  meta.setMeta(metaName, JSON.stringify(damage));

export const dropBereft = (meta: Pick<Store, "dropMeta">): void => meta.dropMeta(metaName);

const unaskedName = "unasked";

/** Whether the bucket did not say, when the log was made, if there was one before. */
export const isUnasked = (meta: Pick<Store, "meta">): boolean => meta.meta(unaskedName) !== undefined;

export const setUnasked = (meta: Pick<Store, "setMeta">): void => meta.setMeta(unaskedName, "1");

export const dropUnasked = (meta: Pick<Store, "dropMeta">): void => meta.dropMeta(unaskedName);
