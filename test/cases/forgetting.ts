/** Forgetting without the shells: what a partition and a delivery do for it, one after the other. */
import type { Target } from "../../schemas/erasure.ts";
import { Erasures } from "../../src/archive/erasure.ts";
import { Rewriter } from "../../src/archive/rewrite.ts";
import type { Delivery } from "../../src/delivery/delivery.ts";
import { forget } from "../../src/delivery/forget.ts";
import { Sought } from "../../src/delivery/sought.ts";
import { headsIn } from "../../src/log/heads.ts";
import type { Log } from "../../src/log/log.ts";

let requests = 0;

/** Makes tombstones of a target's records below the tail, which it answers. */
export function eraseIn(log: Log, target: Target, now: number): number {
  const erasures = new Erasures(log);
  erasures.request(`r${requests++}`, target, now);
  for (;;) {
    const due = erasures.due(now);
    if (due === undefined) return log.span.tail;
    if (due.step === "groups") erasures.finish(due.erasure, now);
    else {
      const { erasure, segment } = due;
      const rewriter = new Rewriter(true, (record, offset) => erasures.fate(erasure, record, offset));
      for (const head of headsIn(log.segments, segment.base, segment.next)) {
        rewriter.add({ ...head, body: log.segments.body(head.base) });
      }
      erasures.searched(erasure, segment, rewriter, [], now);
    }
  }
}

/** The delivery forgets them, as its object has it do so. */
export function forgetIn(delivery: Delivery, log: Log, target: Target, to: number, now: number): void {
  const sought = new Sought(target, to);
  const read = (offset: number, filter?: { key: string }) => {
    const terms = { from: { at: "offset", offset } as const, limit: 7, bytesMax: 300 };
    const page = log.read(filter === undefined ? terms : { ...terms, filter });
    if (page.ok) return page.value;
    const head = Number(page.refusal.facts?.head);
    return { from: offset, to: Math.max(head, offset + 1), pieces: [], upToDate: false };
  };
  for (;;) {
    const span = sought.wanted(delivery.state, []);
    const later = span === undefined ? sought.wantedLater(delivery.state) : undefined;
    if (span !== undefined) {
      const page = read(span[0]);
      sought.take(page.upToDate ? { ...page, to: Math.max(page.to, span[1]) } : page);
    } else if (later !== undefined && "key" in target) sought.takeLater(read(later, target), target);
    else break;
  }
  forget(delivery, { target, to, sought }, { heritage: () => {}, attempts: () => {} }, now);
}
