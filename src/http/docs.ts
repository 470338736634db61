/** The reference as one page, made from the same document; no script, nothing from elsewhere. */
import { type ErrorCode, errors } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { encodeText } from "../lib/bytes.ts";
import { causes } from "./causes.ts";
import { openApiText, templateOf } from "./openapi.ts";
import { operations } from "./operations.ts";
import { sharedBody } from "./sending.ts";

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema: Record<string, unknown>;
}

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const text = (value: unknown) => String(value).replace(/[&<>"]/g, (char) => escapes[char]);
const prose = (value: unknown) => text(value).replace(/`([^`]+)`/g, "<code>$1</code>");
const anchor = (method: string, path: string) => `${method}-${path}`.replace(/[^A-Za-z]+/g, "-").toLowerCase();

const style = `
body{font:16px/1.55 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733;background:#fff}
h1{margin-bottom:0}h2{margin:2.5rem 0 .3rem;font-size:1.15rem}h2 b{display:inline-block;min-width:4.5rem;color:#0b63a8}
code{font:.9em ui-monospace,monospace;background:#eef2f6;padding:.1em .3em;border-radius:3px}
pre{background:#eef2f6;padding:.8rem;overflow-x:auto;border-radius:6px;font:.85rem/1.5 ui-monospace,monospace}
table{border-collapse:collapse;width:100%;font-size:.92rem}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #dbe2e9}
nav a{display:block;text-decoration:none;color:inherit}nav b{display:inline-block;min-width:4.5rem;color:#0b63a8}
@media(prefers-color-scheme:dark){body{background:#11181f;color:#dbe4ec}code,pre{background:#1d2833}td,th{border-color:#2c3a47}h2 b,nav b{color:#6db7f2}}
`;

let made: Uint8Array | undefined;

export function docsPage(): Response {
  made ??= encodeText(page());
  return new Response(sharedBody(made), {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    },
  });
}

function page(): string {
  const document = JSON.parse(openApiText());
  const all = Object.entries(operations).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ path, method })),
  );
  const links = all.map(
    ({ path, method }) =>
      `<a href="#${anchor(method, path)}"><b>${method}</b> <code>${text(templateOf(path))}</code></a>`,
  );
  const sections = all.map(({ path, method }) =>
    section(path, method, document.paths[templateOf(path)][method.toLowerCase()]),
  );
  const codes = Object.entries(errors).map(
    ([code, one]) =>
      `<tr id="${code}"><td><code>${code}</code><td>${one.status}<td>${text(one.title)}. ${prose(causes[code as ErrorCode])}<td>${one.retryable ? "retry" : ""}<td>${one.clean ? "" : "may have been written"}`,
  );
  const numbers = Object.entries(limits).map(
    ([name, value]) => `<tr><td><code>${name}</code><td>${value.toLocaleString("en")}`,
  );
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Millrace: reference</title><style>${style}</style>
<h1>Millrace</h1><p>Reference of the HTTP interface, version ${text(document.info.version)}. As a document: <a href="/openapi.json">openapi.json</a>.
Every request but <code>/healthz</code> carries <code>Authorization: Bearer &lt;token&gt;</code>.</p>
<pre>curl -H "authorization: Bearer $TOKEN" -X PUT $URL/v1/default/streams/orders
curl -H "authorization: Bearer $TOKEN" $URL/v1/default/streams/orders/records \\
  -H 'content-type: application/json' -d '{"records":[{"key":"customer-1","data":{"total":42}}]}'
curl -H "authorization: Bearer $TOKEN" "$URL/v1/default/streams/orders/records?key=customer-1"</pre>
<nav>${links.join("\n")}</nav>
${sections.join("\n")}
<h2 id="problems">Problems</h2><p>Every refusal is <code>application/problem+json</code> with one of these codes.</p>
<table><tr><th>code<th>status<th>what it comes from, and what to do<th><th>${codes.join("\n")}</table>
<h2 id="limits">Limits</h2><table>${numbers.join("\n")}</table></html>`;
}

function section(
  path: string,
  method: string,
  operation: {
    summary: string;
    description?: string;
    parameters: Parameter[];
    requestBody?: object;
    responses: Record<string, { description: string }>;
    "x-messages"?: Record<"from" | "to", { oneOf: Message[] }>;
  },
): string {
  const { summary, description, parameters, requestBody, responses } = operation;
  const given = parameters.filter((one) => one.in !== "path");
  const rows = given.map((one) => {
    const { description: says, ...schema } = one.schema;
    return `<tr><td><code>${text(one.name)}</code><td>${prose(one.description ?? says ?? "")}<td><code>${text(brief(schema))}</code>`;
  });
  const answers = Object.entries(responses).map(([status, one]) => `<tr><td>${status}<td>${prose(one.description)}`);
  const said = operation["x-messages"];
  return `<h2 id="${anchor(method, path)}"><b>${method}</b> <code>${text(templateOf(path))}</code></h2>
<p>${text(summary)}.${description === undefined ? "" : ` ${prose(description)}`}</p>
${rows.length === 0 ? "" : `<table>${rows.join("\n")}</table>`}
${requestBody === undefined ? "" : body(requestBody)}
${said === undefined ? "" : messages("Sent to the socket", said.from.oneOf) + messages("Sent by the socket", said.to.oneOf)}
<table>${answers.join("\n")}</table>`;
}

function body(requestBody: object): string {
  const { content } = requestBody as { content: Record<string, { schema?: object }> };
  const types = Object.keys(content).map((type) => `<code>${text(type)}</code>`);
  const { schema } = content["application/json"];
  return `<p>Body: ${types.join(", ")}</p><details><summary>JSON schema</summary><pre>${text(JSON.stringify(schema, null, 2))}</pre></details>`;
}

interface Message {
  readonly description?: string;
  readonly properties: Readonly<Record<string, Record<string, unknown>>>;
  readonly required?: readonly string[];
}

/** Messages of a socket: each by its type, with its fields and what they are. */
function messages(title: string, all: readonly Message[]): string {
  const rows = all.map(({ description, properties: { type, ...fields }, required = [] }) => {
    const each = Object.entries(fields).map(([name, { description: says, ...schema }]) => {
      const may = required.includes(name) ? "" : ", may be left out";
      return `<code>${text(name)}</code> (${text(brief(schema))}${may})${says === undefined ? "" : `: ${prose(says)}`}`;
    });
    return `<tr><td><code>${text(type.const)}</code><td>${[...(description === undefined ? [] : [prose(description)]), ...each].join("<br>")}`;
  });
  return `<p>${title}</p><table>${rows.join("\n")}</table><details><summary>JSON schema</summary><pre>${text(JSON.stringify(all, null, 2))}</pre></details>`;
}

/** A parameter's type in a few characters. */
function brief(schema: Record<string, unknown>): string {
  const { type, enum: values, default: preset, minimum, maximum, anyOf } = schema;
  if (Array.isArray(anyOf)) return anyOf.map((one) => brief(one)).join(" | ");
  const range = maximum === undefined ? "" : ` ${minimum ?? 0}–${maximum}`;
  const shown = Array.isArray(values) ? values.join(" | ") : `${schema.const ?? type ?? "any"}${range}`;
  return preset === undefined ? shown : `${shown} = ${preset}`;
}
