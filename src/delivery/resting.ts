import { limits } from "../../schemas/limits.ts";

/**
 * Members that have given a record back, until when they are lent nothing: others come first, and who takes it again at once does
 * not go round in a circle.
 */
export class Resting {
  readonly #until = new Map<string, number>();

  begin(member: string, now: number): void {
    for (const [other, until] of this.#until) if (until <= now) this.#until.delete(other);
    this.#until.set(member, now + limits.releaseRestMs);
  }

  has(member: string, now: number): boolean {
    return (this.#until.get(member) ?? 0) > now;
  }

  /** When the next one is over, in ms since 1970. Infinity where there is none. */
  overAt(now: number): number {
    let at = Number.POSITIVE_INFINITY;
    for (const until of this.#until.values()) if (until > now && until < at) at = until;
    return at;
  }
}
