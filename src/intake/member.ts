/** What a member of a group sends on its socket. */
import { type Result, refuse } from "../../schemas/errors.ts";
import { type MemberMessage, memberMessage } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import { check } from "../lib/check.ts";

export function readMember(text: unknown): Result<MemberMessage> {
  if (typeof text !== "string" || text.length > limits.messageBytesMax) {
    return refuse("invalid", `a message is a text of JSON with at most ${limits.messageBytesMax} characters`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse("invalid", `the message is not JSON: ${(error as Error).message}`);
  }
  return check(memberMessage, value, "message", "JSON");
}
