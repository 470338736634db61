import * as z from "zod";
import { text, whole, wholeText } from "./fields.ts";
import { limits } from "./limits.ts";
import { mediaType } from "./text.ts";

const number = wholeText();
const name = text(limits.snapshotNameBytesMax);
const lease = z
  .string()
  .min(1)
  .max(64)
  .describe("The lease that it is made under. Refused when another has taken it since.");
const partition = number.describe("May be left out where the stream has one.").optional();

/** A media type as it can stand in a header. */
export const contentType = text(limits.contentTypeCharsMax, mediaType);
export const defaultContentType = "application/octet-stream";

export const listSnapshotsQuery = z.strictObject({
  partition: number.describe("Left out: every partition.").optional(),
});

/** Query of a GET of one: `before` counts for `latest`, `version` for an offset. */
export const getSnapshotQuery = z.strictObject({
  partition,
  before: number.describe("With `latest`: below this offset.").optional(),
  version: z
    .string()
    .max(64)
    .describe("With an offset: only this one, and not another that was stored at the offset since. As `href` has it.")
    .optional(),
});

export const putSnapshotQuery = z.strictObject({
  partition,
  name: name.describe("Who makes it, for those who look at the list.").optional(),
  lease: lease.optional(),
});

export const onlyPartitionQuery = z.strictObject({ partition });

/** Body of `POST …/snapshots/lease`. */
export const leaseBody = z.strictObject({
  partition: whole.describe("May be left out where the stream has one.").optional(),
  holder: name.describe("Who asks. The same holder renews, and gets the same lease."),
  seconds: z
    .number()
    .int()
    .min(0)
    .max(limits.snapshotLeaseSecondsMax)
    .describe("From now. Afterwards another may take it over; 0 gives it up."),
  offset: whole.describe("Of the snapshot that is to be made. Default: the tail.").optional(),
});

export const leaseView = z.object({
  partition: z.number().int(),
  lease: z.string(),
  offset: z.number().int(),
  expiresAt: z.string(),
});

/** Body of `POST …/snapshots/{offset}/uploads`. */
export const uploadBody = z.strictObject({
  contentType: contentType.default(defaultContentType),
  name: name.optional(),
  lease: lease.optional(),
});

export const uploadView = z.object({
  upload: z.string().describe("Names the upload."),
  partBytes: z.number().int().describe("Every part has so many bytes, but the last, which may have fewer."),
});

export const partView = z.object({ etag: z.string().describe("To be named when the upload is completed.") });

/** Body of `POST …/uploads/{upload}/complete`: every part, in order. */
export const completeBody = z.strictObject({
  parts: z
    .array(
      z.strictObject({ number: z.number().int().min(1).max(limits.snapshotPartsMax), etag: z.string().max(1_024) }),
    )
    .min(1)
    .max(limits.snapshotPartsMax),
});

export const snapshotView = z.object({
  partition: z.number().int(),
  offset: z.number().int().describe("Everything below it is applied in the snapshot: go on reading here."),
  bytes: z.number().int(),
  contentType: z.string(),
  name: z.string().optional(),
  createdAt: z.string(),
  crc32c: z
    .string()
    .optional()
    .describe("CRC-32C of the body, eight hexadecimal digits. Left out where it was stored before there was one."),
  version: z.string().describe("Another snapshot that is stored at the offset has another."),
  href: z.string().describe("Where it is: a path of this service. It never changes, and may be cached for ever."),
});
export type SnapshotView = z.infer<typeof snapshotView>;

/** What a page of a read says of a snapshot that it could have begun with. */
export const snapshotNote = snapshotView.pick({
  partition: true,
  offset: true,
  bytes: true,
  contentType: true,
  href: true,
});
export type SnapshotNote = z.infer<typeof snapshotNote>;
