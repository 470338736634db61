/** Draws a round: every field with every value, each by one way in; then records in which several things are odd. */
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import { datas } from "./data.ts";
import { places } from "./places.ts";
import {
  type DoorsPlan,
  type Draft,
  type Elsewhere,
  type Field,
  type Odd,
  outs,
  textFields,
  type Way,
  ways,
} from "./plan.ts";
import { limitsKnown, timeValues, verdict } from "./rules.ts";
import { limits, literals, mebibyte, texts, type Value } from "./values.ts";
import { made } from "./want.ts";
import { canSay } from "./ways-in.ts";

const { keyBytesMax, attributeBytesMax, tagBytesMax } = limitsKnown;

const named = (list: readonly string[]): Value[] => list.map((text) => ({ name: text, text }));

const mediaTypes = named([
  "text/plain",
  "TEXT/Plain;charset=UTF-8",
  'text/csv; charset=utf-8; header="present"',
  'a/b;c="\\"d\\""',
  "application/vnd.x+json",
  "application/json; charset=utf-8",
  "x!#$&^_.+-/y",
  "text",
  "text/",
  "/plain",
  "text/plain/more",
  "text /plain",
  "text/plain; charset",
  "text/plain; charset=",
  "text/plain, text/html",
  'a/b;c="d',
  "*/*",
]);

const schemas = named([
  "https://example.com/schema#1",
  "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
  "x-1+2.3:anything",
  "mailto:a@b",
  "//example.com/schema",
  "1a:b",
  ":a",
  "https://example.com/a b",
  "https://example.com/é😀",
]);

const sources = named(["/a/b?c#d", "urn:x:y", "../relative", "?", "#", "a:b", "http://[::1]:1/", "%zz", "https://é/"]);

const names = named([
  ..."id source specversion type subject time datacontenttype dataschema data partitionkey tags key".split(" "),
  ..."partition offset timestamp millrace millracepartition millracefoo data_base64".split(" "),
  ..."a 0 9a constructor valueof hasownproperty UPPER camelCase with-dash with_underscore traceparent".split(" "),
  "a".repeat(20),
  "a".repeat(64),
  "a".repeat(65),
  "a".repeat(5000),
]);

const integers: Value[] = (
  "true false 0 -1 2147483647 -2147483648 2147483648 -2147483649 4294967296 9007199254740993 1e400 -1e400 1.5 -0 1e3 1.0 " +
  "null [] {}"
)
  .split(" ")
  .map((json) => ({ name: `literal-${json}`, json }));

function valuesOf(field: Field): readonly Value[] {
  switch (field) {
    case "key":
      return [...texts, ...literals, ...limits(keyBytesMax), mebibyte];
    case "tags":
      return [...texts, ...literals, ...limits(tagBytesMax), mebibyte];
    case "time":
      return [...timeValues, ...texts.filter((_, i) => i % 5 === 0), ...literals];
    case "datacontenttype":
      return [...texts, ...mediaTypes, ...limits(attributeBytesMax, "text/")];
    case "dataschema":
      return [...texts, ...schemas, ...limits(attributeBytesMax, "a:")];
    case "source":
      return [...texts, ...sources, ...literals, ...limits(attributeBytesMax), mebibyte];
    case "name":
      return [...names, ...texts.filter(({ name }) => name !== "word")];
    case "value":
      return [...texts, ...integers, ...limits(attributeBytesMax), mebibyte];
    default:
      return [...texts, ...literals, ...limits(attributeBytesMax), mebibyte];
  }
}

const sizes: Readonly<Record<string, number>> = {
  member: limitsKnown.memberBytesMax,
  reason: limitsKnown.reasonBytesMax,
  fence: limitsKnown.fenceBytesMax,
  producer: limitsKnown.producerIdBytesMax,
  stream: limitsKnown.nameCharsMax,
  group: limitsKnown.nameCharsMax,
  only: keyBytesMax,
  "filter-key": keyBytesMax,
  "filter-tag": tagBytesMax,
  "read-key": keyBytesMax,
};

const fields: readonly Field[] = [...textFields, "name", "value"];

/** One draft for each cell of fields and values; the way in moves on from cell to cell, from where chance put it. */
function matrix(random: Random, has: (feature: string) => boolean): Omit<Draft, "n">[] {
  const found: Omit<Draft, "n">[] = [];
  const begin = random.int(0, ways.length - 1);
  const add = (odd: readonly Odd[], data?: string) => {
    const draft = { escaped: random.chance(0.5), odd, ...(data !== undefined && { data }) };
    for (let i = 0; i < ways.length; i++) {
      const way = ways[(begin + found.length + i) % ways.length] as Way;
      if (!canSay(way, made({ ...draft, way, n: 0 }))) continue;
      found.push({ ...draft, way });
      return;
    }
  };
  for (const field of fields) {
    for (const value of valuesOf(field)) if (has(field)) add([{ field, value }]);
  }
  if (has("data")) for (const { name } of datas) add([], name);
  return found;
}

/** Several things are odd, most of them allowed. */
function mixed(random: Random, has: (feature: string) => boolean): Omit<Draft, "n"> {
  const usable = fields.filter(has);
  for (;;) {
    const way = random.pick(ways);
    const odd: Odd[] = random.sample(usable, random.int(2, 5)).map((field) => {
      const values = valuesOf(field);
      const allowed = values.filter((value) => value !== mebibyte && verdict(field, value, way) === "yes");
      return { field, value: random.pick(random.chance(0.9) && allowed.length > 0 ? allowed : values) };
    });
    const small = datas.filter(({ wrong, times = 1 }) => !wrong && times === 1);
    const data = has("data") && random.chance(0.5) ? { data: random.pick(small).name } : {};
    const draft = { way, escaped: random.chance(0.5), odd, ...data };
    if (canSay(way, made({ ...draft, n: 0 }))) return draft;
  }
}

/** Every place with every text; `place` is tried with times too. */
function elsewhere(random: Random): Elsewhere[] {
  const values = [...texts, ...literals, mebibyte];
  const timed = ["from", "seek"].flatMap((place) => timeValues.map((value) => ({ place, value })));
  const sized = Object.entries(sizes).flatMap(([place, most]) => limits(most).map((value) => ({ place, value })));
  const all = Object.keys(places).flatMap((place) => values.map((value) => ({ place, value })));
  return random.shuffle([...all, ...timed, ...sized]);
}

export function doorsPlan(random: Random, scale: Scale): DoorsPlan {
  const has = (feature: string) => !scale.without.has(feature);
  const all = matrix(random.fork("matrix"), has);
  const chosen = scale.brief ? random.fork("brief").sample(all, 250) : all;
  const mixing = random.fork("mixed");
  const many = has("mixed") ? (scale.brief ? 40 : 250) : 0;
  const drafts = [...chosen, ...Array.from({ length: many }, () => mixed(mixing, has))];
  const usable = random.shuffle(outs.filter(has));
  const kill = () => ({ before: random.int(0, outs.length - 1), how: random.chance(0.7) ? "kill" : "term" }) as const;
  return {
    partitions: random.int(1, 3),
    drafts: random.shuffle(drafts).map((draft, n) => ({ n, ...draft })),
    elsewhere: has("elsewhere") ? elsewhere(random.fork("elsewhere")).slice(0, scale.brief ? 200 : 1200) : [],
    bodies: has("bodies"),
    again: has("again"),
    outs: usable,
    kills: has("kills") && random.chance(0.7) ? [kill()] : [],
  };
}
