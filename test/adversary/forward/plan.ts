/** What a round of the forward program is made of: logs, what their writers and rotations do, and who dies meanwhile. */

/** What a line is made of; the long ones have `size` bytes and more. */
export type LineKind =
  | ("json" | "odd-json" | "scalar" | "array" | "near-json" | "text" | "letters" | "spaces" | "mark" | "nul")
  | ("crlf" | "carriage" | "bytes" | "empty" | "empty-crlf")
  | ("long" | "long-json" | "long-letters" | "long-bytes");

export interface LinePlan {
  readonly kind: LineKind;
  readonly size: number;
}

/** How generations are named: `app.log.1`, `app.log-20261120`, `app-20261120.log`. */
export type Scheme = "numbered" | "dated" | "within";

/** How a log is at first: there, not there, nor its folder, a folder itself, a link that is turned round. */
export type Origin = "there" | "absent" | "no-folder" | "folder" | "link";

export interface LogPlan {
  readonly scheme: Scheme;
  readonly origin: Origin;
  /** Its writer goes on where it was when it is truncated. */
  readonly sparse: boolean;
  /** It is named twice, in two ways. */
  readonly twice: boolean;
  /** Before the forwarder comes. */
  readonly first: readonly LinePlan[];
  /** A new file begins with a byte order mark. */
  readonly mark: boolean;
}

/** Lines to the log, `paceMs` between them; then a share of one more line without its end. */
export interface Write {
  readonly do: "write";
  readonly log: number;
  readonly lines: readonly LinePlan[];
  readonly paceMs: number;
  readonly open?: { readonly line: LinePlan; readonly share: number };
}

export type OfLog =
  | Write
  /** `late` are written to the file that was renamed, `paceMs` between them. `create`: the new one is there at once. */
  | {
      readonly do: "rename";
      readonly log: number;
      readonly late: readonly LinePlan[];
      readonly paceMs: number;
      readonly create: boolean;
    }
  /** `gap` between the copy and the truncation, `refill` at once behind it. */
  | {
      readonly do: "copy";
      readonly log: number;
      readonly gap: readonly LinePlan[];
      readonly refill: readonly LinePlan[];
    }
  | { readonly do: "compress"; readonly log: number; readonly by: "gz" | "zst"; readonly age: number }
  /** The oldest generation goes, once it has been appended. */
  | { readonly do: "prune"; readonly log: number }
  /** Its name is another one for a while; lines go on. */
  | { readonly do: "hide"; readonly log: number; readonly ms: number; readonly lines: readonly LinePlan[] }
  /** The link leads to a new file; where nobody looks, to one with `between` first, which nobody reads. */
  | {
      readonly do: "turn";
      readonly log: number;
      readonly lines: readonly LinePlan[];
      readonly between: readonly LinePlan[];
    }
  /** Another file takes its place while it is read; nobody can find it any more. */
  | {
      readonly do: "replace";
      readonly log: number;
      readonly lines: readonly LinePlan[];
      readonly fresh: readonly LinePlan[];
    }
  /** Lines are lost: truncated without a copy; deleted while the forwarder is away. */
  | { readonly do: "truncate"; readonly log: number; readonly refill: readonly LinePlan[] }
  | { readonly do: "drop"; readonly log: number; readonly lines: readonly LinePlan[] }
  | { readonly do: "settle"; readonly log: number };

export type Signal = "SIGKILL" | "SIGTERM" | "SIGINT";
export type Probe = "second" | "no-stream" | "token";

export type Beat = { readonly afterMs: number } & (
  | OfLog
  /** `amid`: when it has begun its work. */
  | { readonly do: "stop"; readonly how: Signal; readonly amid: boolean }
  | { readonly do: "start" }
  | { readonly do: "service"; readonly how: "kill" | "term" }
  | { readonly do: "grow" }
  /** The stream takes less than it did. */
  | { readonly do: "limit"; readonly recordBytes: number; readonly batchBytes: number }
  | { readonly do: "probe"; readonly what: Probe }
);

export interface Options {
  /** It comes now and then, with `--once`, and ends. */
  readonly once: boolean;
  readonly text: boolean;
  readonly key: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
  /** Logs are named from their folder. */
  readonly relative: boolean;
}

/** Lines that come through a pipe, in pieces of so many bytes. */
export interface InputPlan {
  readonly lines: readonly LinePlan[];
  readonly pieces: readonly number[];
  readonly open: boolean;
  readonly service?: "kill" | "term";
  /** The forwarder dies when so large a share of it has been written. */
  readonly dies?: number;
}

export interface ForwardPlan {
  readonly partitions: number;
  readonly recordBytes: number;
  readonly batchBytes: number;
  readonly options: Options;
  readonly logs: readonly LogPlan[];
  readonly beats: readonly Beat[];
  readonly input?: InputPlan;
}
