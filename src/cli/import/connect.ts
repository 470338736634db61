/**
 * Values for which JSON has no form of its own, by the schemas that Kafka Connect puts beside them: decimals, which come as
 * bytes, and times, which come as numbers of different units.
 */
import { type Fields, isObject, textAt } from "./json.ts";
import type { Columns } from "./map.ts";
import type { Part } from "./message.ts";
import { BadRow } from "./row.ts";
import { toTime, type Unit } from "./times.ts";

const decimal = "org.apache.kafka.connect.data.Decimal";

/** Names of types of times; dates are days since 1970. */
const units: ReadonlyMap<unknown, Unit | "days"> = new Map([
  ["io.debezium.time.Timestamp", "ms"],
  ["io.debezium.time.MicroTimestamp", "us"],
  ["io.debezium.time.NanoTimestamp", "ns"],
  ["org.apache.kafka.connect.data.Timestamp", "ms"],
  ["io.debezium.time.Date", "days"],
  ["org.apache.kafka.connect.data.Date", "days"],
]);
const timesOfDay = /^(?:io\.debezium\.time\.(?:Micro|Nano|Zoned)?Time|org\.apache\.kafka\.connect\.data\.Time)$/;

/** A row in which the values of the key's, the id's and the time's columns are texts. Its `raw` stays. */
export function legible(row: Part, { key, id, time, timeUnit }: Columns): Part {
  if (!isObject(row.value)) return row;
  let value: Fields = row.value;
  for (const name of [key, id]) {
    const text = name === undefined ? undefined : decimalOf(value[name], fieldOf(row.schema, name));
    if (text !== undefined) value = { ...value, [name as string]: text };
  }
  const text = time === undefined || timeUnit !== undefined ? undefined : timeOf(row, time);
  if (text !== undefined) value = { ...value, [time as string]: text };
  return value === row.value ? row : { ...row, value };
}

/** The schema of a field of a struct. */
export function fieldOf(schema: unknown, name: string): Fields | undefined {
  const fields = isObject(schema) && Array.isArray(schema.fields) ? (schema.fields as unknown[]) : [];
  return fields.find((field): field is Fields => isObject(field) && field.field === name);
}

function decimalOf(value: unknown, schema: Fields | undefined): string | undefined {
  // One of a scale of its own needs no schema.
  if (isObject(value) && Object.keys(value).length === 2 && typeof value.value === "string") {
    return typeof value.scale === "number" ? decimalText(value.value, value.scale) : undefined;
  }
  if (schema?.name !== decimal || typeof value !== "string") return undefined;
  return decimalText(value, Number(isObject(schema.parameters) ? schema.parameters.scale : 0));
}

/** The number that big-endian bytes in base64 stand for, divided by ten to the power of the scale. */
function decimalText(base64: string, scale: number): string {
  if (!(Number.isInteger(scale) && Math.abs(scale) <= 1_000)) throw new BadRow(`${scale} is no scale of a decimal`);
  const bytes = Buffer.from(base64, "base64");
  const number = BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString("hex") || "0"}`));
  const sign = number < 0n ? "-" : "";
  const digits = String(number < 0n ? -number : number);
  if (scale <= 0) return sign + (number === 0n ? digits : digits + "0".repeat(-scale));
  const padded = digits.padStart(scale + 1, "0");
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}

function timeOf(row: Part, column: string): string | undefined {
  const name = fieldOf(row.schema, column)?.name;
  const unit = units.get(name);
  if (unit === undefined && !timesOfDay.test(String(name))) return undefined;
  const text = textAt(row, column);
  if (text === undefined) return undefined;
  if (unit === undefined) throw new BadRow(`${column} is a time of day, and no time`);
  return unit === "days" ? toTime(String(Number(text) * 86_400), "s") : toTime(text, unit);
}
