import { frameLimits } from "./frame-limits.ts";

/**
 * Every number that a user can run into, with its unit and its reason. `GET /v1/config` shows them; each is enforced,
 * and tested on both sides of its edge. Byte limits count encoded bytes, not characters.
 */
export const limits = {
  ...frameLimits,
  /** A chunk is one SQLite row. The platform allows 2 MB a row and a local SQLite more, so the bound is ours to keep. */
  chunkBytesMax: 1_048_576,
  /** Decoded body of one append. Far below the 32 MiB of one call between objects. */
  batchBytesMax: 8_388_608,
  /**
   * Bodies above 256 KiB, and pieces of snapshots whose length nobody said, that one isolate gathers at once, of its 128 MB.
   * What does not fit waits 5 s, and is refused then.
   */
  bodiesBytesMax: 50_331_648,
  /** Bodies of 8 to 256 KiB that one isolate reads at once without looking at what has come of them; more of them count as those above do. */
  smallBodiesBytesMax: 16_777_216,
  /** Body of a definition, or an order: far more than any needs. */
  jsonBytesMax: 1_048_576,
  /** A body that stops for so long is not waited for. */
  bodySilentMsMax: 10_000,
  /** Beside that a body may be as slow as it likes for so long; from then on it must come at a rate, or it holds memory for others. */
  bodyGraceMs: 20_000,
  bodyBytesPerSecondMin: 16_384,
  /** Of a snapshot, which is not held in memory: no slow line is too slow, only a byte at a time. */
  snapshotBytesPerSecondMin: 1_024,
  /** Keeps the answer (one verdict a record) smaller than the request. */
  batchRecordsMax: 65_536,
  /** Appends that wait in one partition for the next commit; beyond it the partition says `overloaded`. */
  pendingBytesMax: 33_554_432,
  /** Refusals of a socket's appends, which count no bytes, that wait behind the answers to what was asked before. */
  refusalsWaitingMax: 10_000,
  /** Partition key. Also the length of a row's key in the opt-in key index. */
  keyBytesMax: 1_024,
  /** CloudEvents attributes and extension values other than data. */
  attributeBytesMax: 4_096,
  extensionsMax: 64,
  /** What a dead letter is given on its way to another stream, beyond the limits of a record: attributes, and their bytes. */
  deadLetterExtensions: 6,
  deadLetterBytesMax: 10_000,
  tagsMax: 32,
  tagBytesMax: 128,
  /** Namespace and stream names: letters, digits, `.`, `_`, `-`. */
  nameCharsMax: 128,
  producerIdBytesMax: 128,
  fenceBytesMax: 64,
  partitionsMax: 1_024,
  /** Streams of one namespace: its catalog is one object of 10 GB and lists page by page. */
  streamsMax: 100_000,
  /** Half the memory of an isolate (128 MB) must not go to the duplicate index: 24 bytes an id at half load. */
  deduplicationIdsMax: 1_048_576,
  deduplicationWindowMsMax: 86_400_000,
  /** How far a client's timestamp may be ahead of the clock: later records cannot go back behind it. */
  timestampAheadMsMax: 3_600_000,
  /** Producers that one partition remembers; those idle for longer than `producerIdleMs` make room. */
  producersMax: 100_000,
  producerIdleMs: 604_800_000,
  /** Answers that are remembered for each producer, so that pipelined batches can be retried. As in Kafka. */
  producerBatchesKept: 5,
  /**
   * Runs of equal verdicts remembered of one producer, over its batches; older batches are forgotten earlier. Bounds its
   * row, 25 bytes a run, to the platform's 2 MB, and has room for any one batch.
   */
  producerRunsMax: 65_536,
  pageRecordsMax: 10_000,
  pageBytesMax: 8_388_608,
  /** Pages above 1 MiB that one isolate makes and sends at a time; beyond it a page has 1 MiB. What each holds is several times that. */
  largePagesBytesMax: 16_777_216,
  /**
   * What one isolate has fetched for clients that have yet to take it: event streams, `maxBytes=all`, snapshots, and every answer of more
   * than 256 KiB. From half of it on streams go on in pieces of 64 KiB, and pages have 256; who takes nothing for a minute then is left.
   * What must be whole waits for room, and is refused then.
   */
  untakenBytesMax: 33_554_432,
  /** The `n` of `-n` where records must be counted: over several partitions, or behind a filter. */
  lastRecordsMax: 10_000,
  /** Pages that are read for that; a page of a filter that finds little passes over 32 MiB. */
  lastPagesMax: 1_000,
  /** Long-poll. Shorter than the idle time-out of common proxies (60 s). */
  waitSecondsMax: 30,
  /** Readers that one partition holds in long-poll. */
  waitersMax: 10_000,
  listMax: 1_000,
  filterValuesMax: 32,

  /** Groups of one stream: every append wakes each of them. */
  groupsMax: 64,
  /** Records under lease at a time, for one group and partition: what is in flight is in memory. */
  inFlightMax: 10_000,
  /** Long work extends its lease rather than asking for a day. */
  ackTimeoutMsMin: 100,
  ackTimeoutMsMax: 43_200_000,
  deliveriesMax: 1_000,
  /** Longest pause before another attempt. */
  delayMsMax: 604_800_000,
  backoffStepsMax: 32,
  /** Records of one receive, push or message. */
  deliverMax: 1_000,
  deliverBytesMax: 4_194_304,
  batchWaitMsMax: 30_000,
  /** Receipts of one ack, nack, release or extend. */
  ackMax: 10_000,
  /** A member that has released a record is lent nothing for so long: others come first. */
  releaseRestMs: 100,
  memberBytesMax: 128,
  reasonBytesMax: 1_024,
  secretsMax: 4,
  /** Of a secret, as Standard Webhooks has them. */
  secretBytesMin: 24,
  secretBytesMax: 64,
  urlBytesMax: 2_048,
  pushHeadersMax: 16,
  /** Value of one of them. */
  headerCharsMax: 1_024,
  pushTimeoutMsMax: 60_000,
  /** The platform opens six connections at most for one request. */
  pushConcurrencyMax: 6,
  pauseAfterMsMax: 2_592_000_000,
  heartbeatMsMin: 1_000,
  heartbeatMsMax: 300_000,
  /** Keys that incident mode lets through. */
  onlyKeysMax: 1_000,
  /** Lanes that wait apart because a record of theirs failed, for one group and partition; then reading stops. */
  lanesMax: 10_000,
  /** Credits that a socket may hold. */
  creditsMax: 10_000,
  /**
   * Bytes that a socket is sent before it has confirmed what it was sent before, at first and at most, each with one message
   * beyond: it doubles with each answer. At most, 100 ms away, is 40 MB/s.
   */
  unconfirmedBytesFirst: 131_072,
  unconfirmedBytesMax: 4_194_304,
  /** The same of all sockets of a stream, or of a group, in one place: half the memory of an isolate. */
  unconfirmedBytesOfAllMax: 67_108_864,
  /** A socket that has not confirmed for so long is closed when there is more for it. */
  confirmMsMax: 60_000,
  /** Sockets of one group and partition. The platform allows more; a member needs one. */
  socketsMax: 1_000,
  /** A message from a member of a group. */
  messageBytesMax: 1_048_576,
  /** A ticket can be taken from a log or a screen: it must not be worth much for long. */
  ticketSecondsMax: 3_600,
  /** Sockets of a stream that one partition holds. The platform allows 32 768. */
  streamSocketsMax: 20_000,
  subscriptionsMax: 16,
  /** Chunks that one partition keeps in its database, which has 10 GB; appends beyond it are refused. */
  hotBytesMax: 8_589_934_592,
  /** Snapshots that a stream may keep of a partition. */
  snapshotsMax: 100,
  /** The most that stores take in one piece. */
  snapshotBytesMax: 5_368_709_120,
  /** A part of an upload. A Worker holds one in memory where it is not told the length, and asks the store once for each. */
  snapshotPartBytes: 8_388_608,
  snapshotPartsMax: 640,
  /** Uploads of one partition's snapshots that have begun and are not done. */
  snapshotUploadsMax: 1_000,
  /** The name of who makes a snapshot. */
  snapshotNameBytesMax: 128,
  snapshotLeaseSecondsMax: 86_400,
  contentTypeCharsMax: 255,
  retentionAgeMsMin: 1_000,
  retentionMsMax: 3_155_760_000_000,
  /** Subscriptions of one socket as JSON: they lie in its attachment while the object sleeps, which has 16 KiB. */
  subscriptionBytesMax: 12_288,

  /** Payload of a block of a dump. The largest are a chunk with its fingerprint, and a dead letter with its attempts. */
  dumpBlockBytesMax: 4_194_304,
  /** Blocks of one request of a restore, and of one answer of a dump: all of them are held at a time. */
  dumpBodyBytesMax: 8_388_608,

  /** Typed columns of a stream's Parquet files: each is looked for in every record. */
  parquetColumnsMax: 32,
  parquetNameCharsMax: 64,
  parquetPathCharsMax: 256,
} as const;

/** What a request or a stream gets that says nothing. */
export const defaults = {
  partitions: 1,
  deduplicationWindowMs: 120_000,
  pageRecords: 1_000,
  pageBytes: 1_048_576,
  list: 100,
  inFlight: 1_000,
  ackTimeoutMs: 30_000,
  deliveries: 5,
  receiveRecords: 100,
  batchRecords: 100,
  batchBytes: 1_048_576,
  pushTimeoutMs: 15_000,
  pushConcurrency: 4,
  pauseAfterMs: 86_400_000,
  heartbeatMs: 30_000,
  ticketSeconds: 60,
  /** What a partition with an archive keeps in its database. */
  hotBytes: 1_073_741_824,
  snapshotsKept: 2,
  deleteMarkerGraceMs: 86_400_000,
} as const;

export const version = "0.1.0";
