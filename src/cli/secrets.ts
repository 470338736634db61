/** Secrets that sign a push, made beside those that are there: of two who do it at once neither undoes the other's work. */
import { mask, maskedSecret } from "../../schemas/credentials.ts";
import { type Group, type GroupConfig, type GroupInfo, MillraceError } from "../client/index.ts";
import { toBase64 } from "../lib/base64.ts";
import { patch, tagged } from "./definitions.ts";

const secretBytes = 32;
export const newSecret = () => `whsec_${toBase64(crypto.getRandomValues(new Uint8Array(secretBytes)))}`;

export const secretText = (secret: string) => `secret  ${secret}  (it is not shown again: give it to the receiver)`;

interface Changed {
  readonly before: GroupInfo;
  readonly after: GroupInfo;
}

/** Changes a group by what it is, unless its secrets are others by then. */
export async function changeSecrets(
  group: Group,
  change: (before: GroupInfo) => { readonly push?: Partial<GroupConfig["push"]> },
): Promise<Changed> {
  const { info: before, tag: first } = await tagged<GroupInfo>(group);
  const config = change(before);
  const wanted = JSON.stringify(
    (config.push?.secrets ?? []).map((one) => (one.endsWith(mask) ? one : maskedSecret(one))),
  );
  for (let tag = first; ; ) {
    try {
      return { before, after: await patch<GroupInfo>(group, config, { tag }) };
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "changed") throw error;
    }
    const now = await tagged<GroupInfo>(group);
    const { secrets } = now.info.config.push ?? {};
    // It was us, and the answer was lost.
    if (JSON.stringify(secrets) === wanted) return { before, after: now.info };
    if (JSON.stringify(secrets) !== JSON.stringify(before.config.push?.secrets))
      throw new Error(`the secrets of '${group.name}' were changed meanwhile; look at them, and say it again`);
    // Something else was, which stays: or the group has grown, or was paused.
    tag = now.tag;
  }
}
