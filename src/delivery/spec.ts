import type { GroupConfig } from "../../schemas/group.ts";
import type { Position } from "../log/read.ts";

/** What the catalog tells a delivery about itself. */
export interface DeliverySpec {
  readonly namespace: string;
  readonly stream: string;
  readonly group: string;
  readonly logId: string;
  readonly groupId: string;
  readonly partition: number;
  /** Grows with every change of the group. */
  readonly version: number;
  readonly config: GroupConfig;
  /** Where it begins, when it comes to be. */
  readonly start: Position;
  /** The partition that this one continues, where the group has to finish that one's records first. */
  readonly parent?: number;
  /** Hashes of the keys that its partition takes, `[from, to)`; undefined in what was told before there was one. */
  readonly range?: { readonly from: number; readonly to: number };
  /** The group is paused; and why, since when, in ms since 1970. */
  readonly paused: boolean;
  readonly because?: { readonly reason: string; readonly at: number } | undefined;
  /** It was restored, and stands still until it is resumed: `because` says so. What it was told of a pause before is kept apart. */
  readonly restored?: true | undefined;
  /** Of what the delivery keeps: the version that says whether it is paused, where that is newer than the rest. */
  readonly decided?: number;
  /** Part of the group's rate that this partition may use. */
  readonly share: number;
  /** Pushing is allowed to private and loopback addresses, and without TLS. */
  readonly privateTargets: boolean;
}
