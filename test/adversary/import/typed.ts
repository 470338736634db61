/** Columns whose values mean what Connect's schema says: decimals, which are bytes, and times in units of their own. */
import type { Look } from "./plan.ts";

export interface Typed {
  /** The column of the key, as JSON, and as the text that it is. */
  readonly id: string;
  readonly idText: string;
  /** The column `at`, as JSON, and the time that it is. */
  readonly at?: { readonly json: string; readonly time: string };
  /** Schemas of these, as JSON. */
  readonly schemas: readonly string[];
}

export const hasSchema = ({ envelope }: Look) => envelope === "value" || envelope === "both";

export function typed(n: number, id: string, look: Look): Typed {
  const withSchema = hasSchema(look);
  const isDecimal = withSchema && look.key === "column" && look.numbers;
  const at = look.time === "none" ? undefined : timeOf(n, withSchema);
  return {
    id: isDecimal ? JSON.stringify(bytesOf(BigInt(id)).toString("base64")) : id,
    idText: isDecimal ? id.padStart(3, "0").replace(/(\d\d)$/, ".$1") : id,
    ...(at && { at }),
    schemas: [isDecimal ? decimal : '{"field":"id","type":"int64"}', ...(at === undefined ? [] : [at.schema])],
  };
}

const decimal =
  '{"field":"id","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}';

/** Big-endian, with a sign. */
function bytesOf(value: bigint): Buffer {
  const hex = value.toString(16);
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  return Buffer.from(/^[89a-f]/.test(even) ? `00${even}` : even, "hex");
}

/** Without a schema the magnitude tells; with it, it may be any. */
function timeOf(n: number, withSchema: boolean): { json: string; time: string; schema: string } {
  const seconds = withSchema ? 86_400 + n : 1_700_000_000 + n;
  const whole = new Date(seconds * 1_000).toISOString().slice(0, 19);
  const schema = (type: string, name: string) => `{"field":"at","type":"${type}","name":"${name}"}`;
  switch (n % 5) {
    case 0:
      return { json: `${seconds}007`, time: `${whole}.007Z`, schema: schema("int64", "io.debezium.time.Timestamp") };
    case 1:
      return {
        json: `${seconds}000456`,
        time: `${whole}.000456Z`,
        schema: schema("int64", "io.debezium.time.MicroTimestamp"),
      };
    case 2:
      return {
        json: `${seconds}123456789`,
        time: `${whole}.123456789Z`,
        schema: schema("int64", "io.debezium.time.NanoTimestamp"),
      };
    case 3:
      if (withSchema) {
        const time = new Date((20_000 + (n % 500)) * 86_400_000).toISOString();
        return { json: String(20_000 + (n % 500)), time, schema: schema("int32", "io.debezium.time.Date") };
      }
      return { json: `"${whole}Z"`, time: `${whole}Z`, schema: "" };
    default:
      return {
        json: `"${whole}.5+02:00"`,
        time: `${whole}.5+02:00`,
        schema: schema("string", "io.debezium.time.ZonedTimestamp"),
      };
  }
}
