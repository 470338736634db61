/**
 * What a round of the hostile program is made of. Which operations and fields there are is known only when it runs, from
 * /openapi.json: where a plan chooses among them, it has a share of the list, from 0 to 1.
 */

/** A part of a list, or the name of one of it. */
export type Share = number | string;

/** A request with the root token, in which one place is odd. */
export interface FieldAttack {
  readonly kind: "field";
  readonly operation: Share;
  readonly place: Share;
  /** A name of `values`. */
  readonly value: string;
}

/** A request that is right but for who asks. */
export interface StrangerAttack {
  readonly kind: "stranger";
  readonly operation: Share;
  readonly credential: Credential;
  readonly way: Way;
}

export const ways = ["header", "query", "protocol"] as const;

/** Where a credential stands: a bearer's header, `?ticket=`, a subprotocol. */
export type Way = (typeof ways)[number];

export const credentials = [
  "none",
  "empty",
  "wrong",
  "cut",
  "longer",
  "basic",
  "bare",
  "doubled",
  "token-as-ticket",
  "garbage-ticket",
  "cut-ticket",
  "widened-ticket",
  "unsigned-ticket",
  "own-key-ticket",
  "token-key-ticket",
  "endless-ticket",
  "expired-ticket",
  "other-stream",
  "other-namespace",
  "read",
  "append",
  "consume",
] as const;

export type Credential = (typeof credentials)[number];

export const rights = ["read", "append", "consume"] as const;
export type Right = (typeof rights)[number];

/** A request whose body, or whose head, is odd. */
export interface BodyAttack {
  readonly kind: "body";
  readonly operation: Share;
  /** A name of `forms`. */
  readonly form: string;
}

export interface HeaderAttack {
  readonly kind: "header";
  readonly operation: Share;
  readonly form: string;
}

/** Bytes that are no HTTP, or nearly. */
export interface RawAttack {
  readonly kind: "raw";
  readonly form: string;
}

export interface SocketAttack {
  readonly kind: "socket";
  readonly door: "stream" | "group";
  readonly partition: boolean;
  readonly binary: boolean;
  /** Undefined: the root token. */
  readonly right?: Right;
  /** Names of `lines` and `frames`, in the order in which they are sent. */
  readonly steps: readonly string[];
}

/** A ticket of a second, and whoever still uses it after that. */
export interface LastingAttack {
  readonly kind: "lasting";
}

export const crowds = [
  "heads",
  "drips",
  "stalls",
  "crumbs",
  "pieces",
  "bombs",
  "events",
  "wholes",
  "framed",
  "pages",
  "sockets",
  "creditors",
  "waiters",
] as const;

export type Crowding = (typeof crowds)[number];

/** Many slow or absent clients at once. */
export interface CrowdAttack {
  readonly kind: "crowd";
  readonly who: Crowding;
  readonly count: number;
  readonly ms: number;
  /** Of what there is to read. */
  readonly mebibytes: number;
}

export interface KillAttack {
  readonly kind: "kill";
  readonly how: "kill" | "term";
}

export type Attack =
  | FieldAttack
  | StrangerAttack
  | BodyAttack
  | HeaderAttack
  | RawAttack
  | SocketAttack
  | LastingAttack
  | CrowdAttack
  | KillAttack;

export interface HostilePlan {
  /** One after another. */
  readonly attacks: readonly Attack[];
}
