/** What was answered to an append: places, or a refusal. */
import type { Answer, Json } from "../frame/http.ts";

export interface Refusal {
  /** Of HTTP, or the close code of a socket. */
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly clean: boolean | undefined;
  /** Whether it came in the form that the documents promise. */
  readonly formed: boolean;
}

export interface Stored {
  readonly verdict: string;
  readonly place: string;
}

export interface Reply {
  readonly stored?: readonly Stored[];
  readonly refusal?: Refusal;
}

export function refusalOf(answer: Answer): Refusal {
  const { status, headers, json, body } = answer;
  const formed = headers["content-type"]?.startsWith("application/problem+json") === true && isProblem(json, status);
  return { status, code: json?.code ?? "", detail: json?.detail ?? body.toString(), clean: json?.clean, formed };
}

const isProblem = (json: Json, status: number): boolean => json?.status === status && isProblemSaid(json);

/** On a socket it has no status. */
export const isProblemSaid = (json: Json): boolean =>
  typeof json.code === "string" &&
  typeof json.detail === "string" &&
  json.detail !== "" &&
  typeof json.retryable === "boolean" &&
  typeof json.clean === "boolean";

const placeOf = ({ partition, offset }: Json): string => `${partition}.${offset}`;

export function replyOf(answer: Answer): Reply {
  if (answer.status >= 300) return { refusal: refusalOf(answer) };
  const list = (answer.json?.verdicts ?? []) as Json[];
  const rejected = list.find(({ verdict }) => verdict === "rejected");
  if (rejected !== undefined) {
    const { reason, detail } = rejected;
    return { refusal: { status: 400, code: reason, detail, clean: undefined, formed: true } };
  }
  return { stored: list.map((one) => ({ verdict: one.verdict, place: placeOf(one) })) };
}

/** The message of a socket that answers an append. */
export function replyOfMessage(message: Json, id: number): Reply | undefined {
  if (message.type === "error" && message.id === id) {
    const { code, detail, clean } = message;
    return { refusal: { status: 400, code, detail, clean, formed: isProblemSaid(message) } };
  }
  const answer = message.type === "verdicts" && (message.answers as Json[]).find((one) => one.id === id);
  if (!answer) return undefined;
  const stored: Stored[] = [];
  for (const run of answer.runs as Json[]) {
    if (run.verdict === "rejected") {
      return { refusal: { status: 400, code: run.reason, detail: run.detail, clean: undefined, formed: true } };
    }
    for (let i = 0; i < (run.count ?? 1); i++) {
      stored.push({ verdict: run.verdict, place: placeOf({ ...run, offset: run.offset + i }) });
    }
  }
  return { stored };
}
