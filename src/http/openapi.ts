/** OpenAPI 3.1, made from the schemas that the server itself checks with. */
import * as z from "zod";
import { type ErrorCode, errors } from "../../schemas/errors.ts";
import { version } from "../../schemas/limits.ts";
import { encodeText } from "../lib/bytes.ts";
import type { Operation } from "./operation.ts";
import { operations } from "./operations.ts";
import { refusalsOf } from "./room.ts";
import { sharedBody } from "./sending.ts";

interface Schema {
  readonly [name: string]: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

const schemaOf = (type: z.ZodType): Schema => {
  const { $schema: _, ...schema } = z.toJSONSchema(type, { io: "input", unrepresentable: "any" });
  return schema as Schema;
};

const problem = {
  type: "object",
  required: ["type", "title", "status", "detail", "code", "retryable", "clean"],
  properties: {
    type: { type: "string", format: "uri-reference", description: "Where the reference says what to do." },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string", description: "What was wrong, and what to change." },
    code: { type: "string", enum: Object.keys(errors) },
    retryable: { type: "boolean", description: "The same request may succeed later." },
    clean: { type: "boolean", description: "Certainly nothing was written." },
    path: { type: "string", description: "The field, parameter or header that is wrong; of a record, within it." },
    pointer: {
      type: "string",
      description: "Where in the body it is: a JSON Pointer (RFC 6901), such as /records/1/key.",
    },
    line: { type: "integer", description: "Of NDJSON, in which line; the pointer is within it." },
  },
};

/** What the names in paths mean. */
const pathParameters: Readonly<Record<string, string>> = {
  ns: "The namespace; `default` is always there.",
  stream: "The stream's name.",
  partition: "The partition's number, from 0.",
  group: "The group's name.",
  erasure: "The id of the request to forget.",
  snapshot: "The snapshot's offset; `latest` to fetch the newest, `lease` to ask for the lease.",
  upload: "What the beginning of the upload was answered.",
  part: "The part's number, from 1; `complete` ends the upload.",
};

/** `/v1/:ns` as OpenAPI writes it. */
export const templateOf = (path: string): string => path.replace(/:(\w+)/g, "{$1}");

let made: string | undefined;

/** The document; made when it is first asked for. */
export function openApiText(): string {
  made ??= JSON.stringify(
    {
      openapi: "3.1.0",
      info: { title: "Millrace", version, description: "An event log at the edge that drives work." },
      security: [{ token: [] }],
      paths: Object.fromEntries(
        Object.entries(operations).map(([path, methods]) => [
          templateOf(path),
          Object.fromEntries(
            Object.entries(methods).map(([method, one]) => [method.toLowerCase(), operationOf(path, one)]),
          ),
        ]),
      ),
      components: {
        securitySchemes: { token: { type: "http", scheme: "bearer" } },
        schemas: { Problem: problem },
      },
    },
    null,
    2,
  );
  return made;
}

let bytes: Uint8Array | undefined;

export function openApi(): Response {
  bytes ??= encodeText(openApiText());
  return new Response(sharedBody(bytes), { headers: { "content-type": "application/json" } });
}

function operationOf(path: string, one: Operation): object {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    description: pathParameters[name],
    schema: { type: "string" },
  }));
  const inHeader = Object.entries(one.headers ?? {}).map(([name, description]) => ({
    name,
    in: "header",
    description,
    schema: { type: "string" },
  }));
  return {
    summary: one.summary,
    ...(one.detail === undefined ? {} : { description: one.detail }),
    ...(path.startsWith("/v1") ? {} : { security: [] }),
    parameters: [...inPath, ...queryOf(one), ...inHeader],
    ...(one.messages === undefined
      ? {}
      : { "x-messages": { from: schemaOf(one.messages.from), to: schemaOf(one.messages.to) } }),
    ...(one.body === undefined ? {} : { requestBody: { content: contentOf(one.body, one.bodyTypes) } }),
    responses: { ...goodOf(one), ...badOf(refusalsOf(one)) },
  };
}

function queryOf(one: Operation): object[] {
  if (one.query === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(one.query);
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    ...(schema.type === "array" ? { explode: true } : {}),
    schema,
  }));
}

const contentOf = (body: z.ZodType, types: readonly string[] = []): object => ({
  "application/json": { schema: schemaOf(body) },
  ...Object.fromEntries(types.map((type) => [type, {}])),
});

const goodOf = (one: Operation): object =>
  Object.fromEntries(
    Object.entries(one.answers).map(([status, { says, body, types }]) => [
      status,
      { description: says, ...(body === undefined ? {} : { content: contentOf(body, types) }) },
    ]),
  );

function badOf(codes: readonly ErrorCode[]): object {
  const byStatus = Map.groupBy(codes, (code) => errors[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, some]) => [
      status,
      {
        description: [...new Set(some)].map((code) => `\`${code}\`: ${errors[code].title}.`).join(" "),
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    ]),
  );
}
