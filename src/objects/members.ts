import { type MemberMessage, memberMessage } from "../../schemas/frames.ts";

/** What a member says; or why it cannot be understood. */
export function understandMember(text: string): MemberMessage | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return (error as Error).message;
  }
  const parsed = memberMessage.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return `${issue.path.join(".")}: ${issue.message}`;
}
