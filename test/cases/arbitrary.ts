import fc from "fast-check";
import { attributeText, extensionName, uriReference } from "../../schemas/text.ts";
import type { Kind, Rec } from "../../src/log/record.ts";

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
const attribute = text.filter((one) => attributeText(one) === undefined);
const name = fc.stringMatching(/^[a-z0-9]{1,8}$/).filter((one) => extensionName(one) === undefined);

/** Any record that a client of a stream with assigned offsets may send. Ids come again, under other keys and sources too. */
export const record: fc.Arbitrary<Rec> = fc
  .record(
    {
      key: fc.oneof(fc.constantFrom("a", "b", "c"), text),
      id: fc.oneof(fc.constantFrom("1", "2", "3"), attribute),
      source: fc.oneof(
        fc.constantFrom("s", "/s"),
        attribute.filter((one) => uriReference(one) === undefined),
      ),
      type: fc.constantFrom("t1", "t2", "t3"),
      subject: attribute,
      time: fc.constantFrom("2026-11-20T10:00:00Z", "2016-12-31t23:59:60.123456789z", "0001-01-01T00:00:00-00:00"),
      datacontenttype: fc.constantFrom("application/json", "text/plain; charset=utf-8", 'a/b;c="d e"'),
      dataschema: fc.constantFrom("https://example.com/a", "urn:b"),
      tags: fc.array(fc.constantFrom("x", "y", "z"), { minLength: 1, maxLength: 3 }),
      extensions: fc.dictionary(
        name,
        fc.oneof(attribute, fc.boolean(), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
        {
          minKeys: 1,
          maxKeys: 3,
          noNullPrototype: true,
        },
      ),
      body: fc.tuple(fc.constantFrom<Kind>(1, 2, 3), fc.uint8Array({ maxLength: 40 })),
    },
    { requiredKeys: [] },
  )
  .map(({ body, ...rest }) => ({ ...rest, kind: body?.[0] ?? 0, data: body?.[1] ?? new Uint8Array(0) }));

export const records = (maxLength = 20) => fc.array(record, { minLength: 1, maxLength });

/** A part of something, 0 to 1. A double would nearly always be nearly 0. */
export const share: fc.Arbitrary<number> = fc.nat(1_000).map((thousandths) => thousandths / 1_000);
