import fc from "fast-check";
import type { Kind, Rec } from "../../src/log/record.ts";

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
const name = fc.stringMatching(/^[a-z0-9]{1,8}$/);

/** Any record that a client of a stream with assigned offsets may send. */
export const record: fc.Arbitrary<Rec> = fc
  .record(
    {
      key: fc.oneof(fc.constantFrom("a", "b", "c"), text),
      id: text,
      source: text,
      type: fc.constantFrom("t1", "t2", "t3"),
      subject: text,
      time: text,
      datacontenttype: text,
      dataschema: text,
      tags: fc.array(fc.constantFrom("x", "y", "z"), { minLength: 1, maxLength: 3 }),
      extensions: fc.dictionary(name, fc.oneof(text, fc.boolean(), fc.integer()), {
        minKeys: 1,
        maxKeys: 3,
        noNullPrototype: true,
      }),
      body: fc.tuple(fc.constantFrom<Kind>(1, 2, 3), fc.uint8Array({ maxLength: 40 })),
    },
    { requiredKeys: [] },
  )
  .map(({ body, ...rest }) => ({ ...rest, kind: body?.[0] ?? 0, data: body?.[1] ?? new Uint8Array(0) }));

export const records = (maxLength = 20) => fc.array(record, { minLength: 1, maxLength });
