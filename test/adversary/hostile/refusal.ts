/** What every answer must be, whatever was asked. */
import type { Answer } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import type { Operation, Reference } from "./reference.ts";

/** Of a request that the service could read. */
export interface Asked {
  readonly method: string;
  /** Undefined: a path that /openapi.json does not name, or a method that its path does not know. */
  readonly operation?: Operation;
  /** A name in the path is odd: the path may be another one, or none. */
  readonly astray?: boolean;
  /** A status that the platform may answer in words of its own. */
  readonly platform?: number;
  readonly words: string;
}

/** The codes that come whatever the route. */
const ofAnyRoute = new Set(["unknown-route", "method-not-allowed"]);

export function judge(round: Round, known: Reference, asked: Asked, answer: Answer): void {
  const { checks } = round;
  const { status, headers, json, body } = answer;
  const said = () => `${asked.words}: ${status} ${body.subarray(0, 500).toString()}`;
  const again = json?.retryable === true && headers["retry-after"] !== undefined;
  const unready = status === 503 && (again || asked.method === "HEAD");
  checks.that("never-5xx", status < 500 || unready, said, [asked.words]);
  if (status < 400 || asked.method === "HEAD") return;
  if (status === asked.platform && json === undefined) return;
  const typed = headers["content-type"]?.startsWith("application/problem+json") === true;
  checks.that("problem", typed && json?.status === status && isProblem(json), said, [asked.words]);
  const meaning = known.codes.get(json?.code);
  const meant = meaning?.status === status && meaning.retryable === json?.retryable && meaning.clean === json?.clean;
  checks.that("table", meant, said, [asked.words]);
  const { operation } = asked;
  const listed = operation?.refusals.get(status)?.has(json?.code) === true;
  checks.that(
    "listed",
    listed || ((operation === undefined || asked.astray === true) && ofAnyRoute.has(json?.code)),
    said,
    [asked.words],
  );
}

const isProblem = (json: Answer["json"]): boolean =>
  ["type", "title", "detail", "code"].every((name) => typeof json?.[name] === "string" && json[name] !== "") &&
  typeof json.retryable === "boolean" &&
  typeof json.clean === "boolean";
