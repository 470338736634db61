/** Rows of an outbox table, in change events or taken out of them. */
import { printed } from "./changes.ts";
import type { Data } from "./model.ts";
import type { Look, RowPlan } from "./plan.ts";
import { type Made, padOf } from "./rows.ts";
import { timeOf } from "./times.ts";
import { keyOf, oddJson } from "./values.ts";

const ops = ["c", "c", "c", "r", "u", "d"] as const;

/** What the payload is, in the row and in the record. A text that holds JSON may be taken for that. */
function payloadOf(n: number, look: Look, shape: number): { json: string; data: Data } {
  const value = `{"n":${n},"v":${oddJson(shape, look.encoding)}${look.pad > 0 ? `,"pad":"${padOf(n, look.pad)}"` : ""}}`;
  switch (shape % 4) {
    case 0:
      return { json: value, data: { kind: "json", texts: [value] } };
    case 1:
    case 2: {
      const text = JSON.stringify(value);
      return { json: text, data: { kind: "json", texts: [value, text] } };
    }
    default: {
      const text = JSON.stringify(`plain text ${n}`);
      return { json: text, data: { kind: "json", texts: [text] } };
    }
  }
}

export function outboxRow(row: RowPlan, look: Look): Made {
  const { n, key, shape } = row;
  if (shape < 0) return { text: '{"op":"c","after":', fate: "bad" };
  if (shape % 13 === 11) return { text: printed('{"id":1}', undefined, look, n), fate: "ignored" };
  const named = keyOf(key, look.encoding);
  const at = timeOf(n, (["ms", "us", "rfc"] as const)[n % 3] as "ms");
  const { json, data } = payloadOf(n, look, shape);
  const fields = [
    `"id":"e-${n}"`,
    `"aggregatetype":"order"`,
    `"aggregateid":${named.isNumber ? named.text : JSON.stringify(named.text)}`,
    `"type":"Placed.${key % 3}"`,
    `"payload":${json}`,
    `"timestamp":${at.json}`,
  ].join(",");
  const op = look.unwrapped ? "c" : (ops[shape % ops.length] as string);
  const image = `{${fields}}`;
  const after = op === "d" ? "null" : image;
  const source =
    '{"connector":"postgresql","name":"pg","db":"shop","schema":"a","table":"outbox","lsn":5,"ts_ms":1700000000000}';
  const event = `{"before":${op === "d" ? image : "null"},"after":${after},"source":${source},"op":"${op}","ts_ms":1700000000000}`;
  const text = printed('{"id":1}', look.unwrapped ? image : event, look, n);
  if (op === "u" || op === "d") return { text, fate: "ignored" };
  return {
    text,
    fate: {
      key: named.text,
      id: `e-${n}`,
      fields: { type: `Placed.${key % 3}`, subject: "order" },
      time: at.time,
      data,
    },
  };
}
