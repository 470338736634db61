/**
 * Bodies without an end, made as they are taken. One whose ticket is over, or whose client has stopped while others have no room, is
 * cut off rather than closed: the reader must see that it did not get everything.
 */
import { ticketOver } from "../../objects/socket.ts";
import { Ending } from "../live/ending.ts";
import { heldStream } from "../sending.ts";
import type { Untaken } from "../untaken.ts";

/** The next piece of a body. */
export interface Made {
  readonly parts: readonly Uint8Array[];
  /** Bytes that are in memory besides. */
  readonly kept: number;
  /** Nothing comes after it: it is the end, or, with a reason, cut off there. */
  readonly last?: true | string;
}

/** `make` has at least one part, or is the last. `share`: what it may fetch, in bytes. */
export function endlessBody(
  untaken: Untaken,
  until: number | undefined,
  make: (share: number) => Promise<Made>,
): ReadableStream<Uint8Array> {
  let over = false;
  let last: Made["last"];
  const end = () => {
    over = true;
    ending.drop();
    untaken.end();
  };
  let cut = (_why: string) => {};
  const ending = new Ending(until, () => cut(ticketOver.detail));
  untaken.leave = () => cut("the client takes nothing");
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        cut = (why) => {
          if (over) return;
          end();
          controller.error(new Error(why));
        };
      },
      async pull(controller) {
        untaken.took();
        if (last === undefined) {
          const made = await make(untaken.share());
          if (over) return;
          untaken.holds(made.parts.reduce((sum, { length }) => sum + length, made.kept));
          for (const part of made.parts) controller.enqueue(part);
          last = made.last;
          // What was made last is held until it is taken.
          if (made.parts.length > 0) return;
        }
        if (typeof last === "string") return cut(last);
        end();
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
  return heldStream(body);
}
