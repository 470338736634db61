/** Of each refusal, what it comes from and what to do about it. A problem's `type` leads here. */
import type { ErrorCode } from "../../schemas/errors.ts";

export const causes: Readonly<Record<ErrorCode, string>> = {
  "bad-json": "The body does not parse, or is not UTF-8. Send what `detail` asks for.",
  "bad-frame":
    "A frame is cut off, has another length or checksum, or flags that are not known. Send frames as `docs/STORAGE.md` of the package has them.",
  "bad-dump":
    "A block is damaged, not in its place, or holds what no log would have stored. Verify the file; nothing of the body was taken.",
  "bad-gzip":
    "`Content-Encoding: gzip` is said of what is none, the body is cut off, or it has several members: pack it as one.",
  "bad-event": "An attribute is missing, or is not what CloudEvents allows.",
  "bad-key": "`expectedKeyOffset`, or a partition, is about one key, and the records have others.",
  "atomic-spans-partitions":
    "The keys of an atomic batch go to several partitions. Give it one key, or name the partition of all of them.",
  "bad-host":
    "The Host header is no host, or more than one. Send the name and the port of the service, and nothing else.",
  "body-cut-off": "The connection ended, or a chunk was broken, before the body did. Nothing was taken: send it again.",
  "body-too-slow":
    "The body came at fewer bytes a second than are waited for. Nothing was taken: send it faster, or in parts.",
  "unknown-field":
    "A field or a parameter that is not known, often a slip of the pen; `path` and `detail` name it. It is never passed over.",
  invalid:
    "A value is not of the form, or not in the range, that the field has; `path` names the field, `detail` says what it takes.",
  unauthorized: "No token, a wrong one, or a ticket that has ended. Send `Authorization: Bearer …`.",
  "ticket-expired":
    "The ticket was good until now. Ask for another: what it opened ended with it, and goes on where it was.",
  forbidden: "The ticket is of another stream, or lacks the right that this takes.",
  "unknown-route": "The path is none of this interface; `nearest` is the one that may have been meant.",
  "namespace-not-found": "Create it with PUT, or look at the spelling.",
  "stream-not-found": "Create it with PUT, or look at the spelling. It may have been deleted, or come to its end.",
  "group-not-found": "Create it with PUT, or look at the spelling.",
  "letter-not-found": "It was redriven, discarded or finished meanwhile. List them again.",
  "lane-not-found": "It went on by itself, or its partition was split. List them again.",
  "erasure-not-found": "No partition knows a request of this id.",
  "partition-not-found":
    "The stream has no partition of the number, or none that takes appends: `…/partitions` lists them.",
  "snapshot-not-found": "None is there, or another was stored at its offset. List them.",
  "upload-not-found": "It was completed, given up, or left alone for a day. Begin another.",
  "method-not-allowed": "`Allow` names the methods of the path.",
  "not-acceptable": "`Accept` names nothing in which this can be answered.",
  conflict: "What is there does not allow it; `detail` says what. Look at it, and decide.",
  "wrong-log":
    "The stream was deleted and made anew, or the cursor is another stream's. Begin anew, from `earliest` or a time.",
  "wrong-partition": "The key, or the id, belongs to another partition. Leave `partition` out, or name the right one.",
  "stale-lease":
    "The lease is over, and another has the record or the turn. What was done under it may be done again by that one.",
  leased: "Another holds the lease until `expiresAt`. Wait, or let it do the work.",
  "archive-off": "The stream asks for an archive, and the deployment has no bucket. Configure one.",
  restoring: "Wait until the restore is finished, or give it up by deleting the stream.",
  "restore-gap": "Parts come in their order. The answer says where the restore stands: go on there.",
  sealed: "The partition was split: records are to go by their keys, and a fence to the partitions that continue it.",
  fenced:
    "Another writer has taken over, by a fence or by a higher epoch. Stop, or take over yourself with a higher one.",
  "sequence-gap": "A batch of the producer is missing before this one; `expected` says which. Send that first.",
  "sequence-conflict": "Another batch was sent under this number. Number batches once, and repeat them as they were.",
  "sequence-stale":
    "The number was used long ago, and its answer is not kept. It was taken then, or never: read to know.",
  "key-index-off": "Create the stream with `keyIndex: true` to use `expectedKeyOffset`.",
  "offset-regressed": "Offsets that a producer gives go up. What lies at this one is another record.",
  trimmed:
    "Retention, a trim or compaction took what was there. Go on from `head`, or from the snapshot that is named.",
  damaged: "What is stored cannot be read as it was written. Verify the partition, and repair it.",
  "upgrade-required": "The path is a WebSocket's: connect to it as one.",
  exists:
    "`If-None-Match: *` asks to create, and nothing else. Give it another name, or change what is there with PUT or PATCH.",
  changed:
    "`If-Match` asks to change what was read, and somebody has changed it since. Read it again, and decide anew.",
  "expected-offset": "Another has appended since; `tail` says how far. Read that, and decide again.",
  "expected-key-offset": "The key has a newer record. Read it, and decide again.",
  "record-too-large":
    "`limit` says how many bytes a record may have. Store the large part elsewhere, and its address here.",
  "batch-too-large": "`limit` says how much a batch may hold. Send several.",
  "body-too-large": "`limit` says how many bytes a body may have. Send several, or in parts.",
  "unsupported-media-type": "`Content-Type` or `Content-Encoding` is none that is taken here; `detail` names those.",
  "bad-target": "Webhooks go to public `https` addresses; `detail` says what is wrong with this one.",
  "past-tail": "The place has not been written yet; `tail` says how far it goes. Use `latest` to wait for what comes.",
  "bad-range": "The range lies behind the end of the body.",
  "atomic-rejected": "Another record of the batch was rejected, and so all were. Mend that one.",
  "too-many": "There are as many as `limit` allows. Delete, finish or close some, or ask again later.",
  "deduplication-full": "Too many ids in the window. Wait, or give the stream a shorter window or more partitions.",
  "log-full":
    "The partition holds as much as a database can. Give the stream retention, an archive, or more partitions.",
  overloaded: "More comes than can be written. Wait as `Retry-After` says, and send again.",
  unavailable:
    "The partition, or the bucket, did not answer. It may have been written: send the same again, with a producer's number or ids.",
  "not-configured": "The operator has yet to set MILLRACE_ROOT_TOKEN.",
  internal: "A fault of the service. Tell its operator; send the same again, with a producer's number or ids.",
};
