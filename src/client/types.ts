/**
 * What goes in and comes out, as plain types: they are the schemas' own, checked against them by a test, so that whoever
 * uses this library needs no schema library for its types.
 */

/** Any value that JSON can carry. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json | undefined };

/** A record to append. Everything is optional; a `key` keeps records in order. */
export interface NewRecord<Data = unknown> {
  /** Records of one key keep their order. At most 1 KiB. */
  key?: string;
  /** Any JSON value. What JSON does not have (NaN, a Map) is refused, and not turned into something else. */
  data?: Data;
  /** Binary data in base64, instead of `data`. */
  data_base64?: string;
  /** JSON of the data, which is sent and kept as it is written, instead of `data`. */
  text?: string;
  datacontenttype?: string;
  /** With `source`, what deduplication compares. */
  id?: string;
  source?: string;
  type?: string;
  subject?: string;
  /** RFC 3339. */
  time?: string;
  dataschema?: string;
  tags?: string[];
  /** CloudEvents extension attributes. */
  extensions?: Record<string, string | number | boolean>;
  /** Only for streams with `timestamps: client`: ms since 1970, or RFC 3339. */
  timestamp?: number | string;
  /** Only for streams with `offsets: producer`. */
  offset?: number;
}

/** A record as it lies in the log. */
export interface StoredRecord<Data = unknown> extends Omit<NewRecord<Data>, "offset" | "timestamp" | "data" | "text"> {
  readonly partition: number;
  readonly offset: number;
  /** When it was appended, RFC 3339. */
  readonly timestamp: string;
  readonly data: Data;
  /** JSON of the data as it lies in the log, where `withText` is the `parse` of the client. */
  readonly text?: string;
}

/** What became of a record. `duplicate`: it was there, at that place. */
export type Verdict =
  | { readonly verdict: "appended" | "duplicate"; readonly partition: number; readonly offset: number }
  | { readonly verdict: "rejected"; readonly partition?: number; readonly reason: string; readonly detail: string };

/** Where a record lies. */
export type Placed = Extract<Verdict, { offset: number }>;

/** Which records are wanted: fields by and, the values of one by or, or, for tags, as `match` says. */
export interface Filter {
  key?: string;
  types?: string[];
  sources?: string[];
  tags?: string[];
  /** For several tags. */
  match?: "any" | "all";
}

/** An offset, `earliest`, `latest`, `snapshot`, `-n`, an RFC 3339 time, or a cursor. */
export type From = number | string;

/** A range of offsets that could not be had. */
export interface Lost {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  /** `trimmed`, or what is damaged. */
  readonly why: string;
}

/** A request to forget, and what has become of it. */
export interface Erasure {
  readonly id: string;
  readonly done: boolean;
  readonly partitions: readonly {
    readonly partition: number;
    readonly state: "rewriting" | "deleting" | "done";
    readonly to: number;
    readonly at: number;
    readonly records: number;
    readonly segments: number;
    readonly objects: number;
    /** First offsets of damaged chunks, which could not be searched. */
    readonly unread: readonly number[];
    readonly requested: string;
    readonly finished?: string;
  }[];
}

export interface ParquetColumn {
  name: string;
  /** Where in data that are JSON: names of members, joined by dots. */
  path: string;
  type: "string" | "int" | "double" | "boolean" | "timestamp" | "json";
}

export interface StreamConfig {
  /** Partitions that take appends; may only grow. */
  partitions?: number;
  deduplicationWindowMs?: number;
  timestamps?: "arrival" | "client";
  offsets?: "assigned" | "producer";
  keyIndex?: boolean;
  /** Records are kept for so long, in ms; null for ever. */
  retentionAgeMs?: number | null;
  /** What each partition keeps; null for any number. */
  retentionBytes?: number | null;
  retentionRecords?: number | null;
  /** Retention waits until every group has finished a record. */
  keepForGroups?: boolean;
  keepForSnapshot?: boolean;
  /** What retention drops goes to the archive first, and stays readable. */
  archive?: boolean;
  archiveAgeMs?: number | null;
  snapshotsKept?: number;
  /** Keep only the latest record of each key, in time. */
  compact?: boolean;
  deleteMarkerGraceMs?: number;
  /** The stream is deleted so long after its creation, in ms; null: never. */
  ttlMs?: number | null;
  deleteOnEmptyMs?: number | null;
  /** A stream that is told when a segment was archived or dropped. */
  segmentEvents?: string | null;
  /** Write archived segments as Parquet files too, with these columns beside the attributes. */
  parquet?: ParquetColumn[] | null;
  recordBytesMax?: number;
  batchBytesMax?: number;
  placement?: "wnam" | "enam" | "sam" | "weur" | "eeur" | "apac" | "apac-ne" | "apac-se" | "oc" | "afr" | "me";
}

export interface StreamInfo {
  readonly namespace: string;
  readonly stream: string;
  readonly logId: string;
  readonly config: StreamConfig;
  readonly mapVersion: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** What became of a stream by a `put`. */
export interface StreamPut extends StreamInfo {
  /**
   * Records that its bounds kept before, and keep no more: they go as soon as nothing else holds them. Absent where there
   * are none; null where a partition could not be asked.
   */
  readonly drops?: number | null;
}

export interface GroupConfig {
  start?: From;
  filter?: Filter | null;
  order?: "key" | "partition" | "none";
  maxInFlight?: number;
  memberMaxInFlight?: number | null;
  ackTimeoutMs?: number;
  maxDeliveries?: number;
  backoff?: number[] | { initialMs: number; factor?: number; maxMs: number };
  onFailure?: "block" | "park" | "skip";
  batch?: { records?: number; bytes?: number; waitMs?: number };
  rate?: { perSecond: number; burst?: number } | null;
  deadLetterStream?: string | null;
  push?: {
    url: string;
    format?: "binary" | "structured" | "batch";
    secrets?: string[];
    headers?: Record<string, string>;
    timeoutMs?: number;
    concurrency?: number;
    validate?: boolean;
    pauseAfterMs?: number;
  } | null;
  durable?: boolean;
  heartbeatMs?: number;
  only?: string[] | null;
}

export interface GroupInfo {
  readonly namespace: string;
  readonly stream: string;
  readonly group: string;
  readonly groupId: string;
  readonly config: GroupConfig;
  readonly paused: boolean;
  readonly pausedBecause?: { readonly reason: string; readonly at: string };
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** A record as a member of a group gets it. */
export interface Delivery<Data = unknown> extends StoredRecord<Data> {
  /** Names the lease. */
  readonly receipt: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** The same at every attempt: for deduplication. */
  readonly deliveryId: string;
}

/** A snapshot of a partition: a state in which everything below the offset is applied. */
export interface SnapshotInfo {
  readonly partition: number;
  readonly offset: number;
  readonly bytes: number;
  readonly contentType: string;
  readonly name?: string | undefined;
  readonly createdAt: string;
  /** CRC-32C of the body, eight hexadecimal digits; left out where it was stored before there was one. */
  readonly crc32c?: string | undefined;
  /** Another snapshot that is stored at the offset has another. */
  readonly version: string;
  /** Its path, which stays what it is. */
  readonly href: string;
}

export interface SnapshotLease {
  readonly partition: number;
  readonly lease: string;
  readonly offset: number;
  readonly expiresAt: string;
}

export type Right = "read" | "append" | "consume";
