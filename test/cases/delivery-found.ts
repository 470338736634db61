/** Histories that once broke a promise: the model goes through them before those that it draws. */
import type { GroupConfig } from "../../schemas/group.ts";
import type { Step } from "./delivery-model.ts";

type History = [config: Partial<GroupConfig>, steps: Step[], restarts: boolean];

const config = (change: Partial<GroupConfig>): Partial<GroupConfig> => ({
  order: "key",
  onFailure: "block",
  maxDeliveries: 1,
  maxInFlight: 1,
  memberMaxInFlight: null,
  backoff: [0],
  ackTimeoutMs: 30_000,
  ...change,
});

const append = (...keys: (string | undefined)[]): Step => ({ do: "append", keys });
const receive = (max = 1, member = "m"): Step => ({ do: "receive", max, member });
const ack = (any = false, ...pick: number[]): Step => ({
  do: "ack",
  pick: pick.length > 0 ? pick : [0],
  any,
  once: false,
});
const nack = (pick = 0, any = false): Step => ({ do: "nack", pick: [pick], any, delayMs: undefined });
const only = (...keys: string[]): Step => ({ do: "only", keys: keys.length > 0 ? keys : null });
const wait = (ms: number): Step => ({ do: "wait", ms });
const leave = (member: string): Step => ({ do: "leave", member });
const letters = (what: "redrive" | "discard", pick: "all" | number[] = "all"): Step => ({
  do: what,
  pick,
  edited: false,
});
const skip: Step = { do: "skip", pick: 0, any: false, reads: false };
const orderOpen = (what: "skip" | "resumeLane", pick: number, reads: boolean): Step => ({
  do: what,
  pick,
  any: true,
  reads,
});
const crash: Step = { do: "crash" };
const forget = (key: string): Step => ({ do: "forget", key, early: false });
const saveLeases: Step = { do: "saveLeases" };
const ranOutUnread: Step[] = [append("a"), receive(), wait(6_000), saveLeases, crash, wait(40_000)];
const inOrder = config({ order: "partition", maxInFlight: 3 });
const secondRanOut: Step[] = [
  append("a", "a"),
  receive(2),
  { do: "extend", pick: [0], any: false },
  wait(6_000),
  saveLeases,
  crash,
  wait(40_000),
];

export const found: History[] = [
  // What was tried of a record without a key, before it became a letter, was known again after a crash, when it was redriven.
  [
    config({ onFailure: "park", maxDeliveries: 2, maxInFlight: 100 }),
    [
      append("d", "a"),
      { do: "forget", key: "a", early: false },
      receive(2, "n"),
      { do: "leave", member: "n" },
      receive(2),
      { do: "nack", pick: [0], any: false, delayMs: undefined },
      { do: "nack", pick: [0], any: false, delayMs: undefined },
      { do: "discard", pick: [0], edited: false },
      { do: "crash" },
    ],
    false,
  ],
  // A letter that an incident's lane had left, and that went out again, was not counted when the window came to it.
  [
    config({ onFailure: "skip" }),
    [only("b", "c"), append("b"), receive(), nack(), letters("redrive"), append("b", "a")],
    false,
  ],
  // Nor was one that was discarded before it came.
  [
    config({}),
    [append("a"), only("a"), receive(), nack(), skip, letters("redrive"), letters("discard"), append("a")],
    false,
  ],
  // A lease of the incident before, acked in the next one, was shown again after a crash.
  [
    config({}),
    [append("a", "a"), only("a"), receive(), only(), only("a"), wait(5_600), saveLeases, ack(), crash],
    false,
  ],
  // An ack that was repeated after a crash, amid an incident, counted twice.
  [config({}), [only("b"), append("b", "a", "b"), receive(), ack(), crash, ack(true), receive(), wait(10)], false],
  [config({}), [only("a"), append("a", "a"), receive(), only("b", "c"), ack(true), only("a"), crash, ack(true)], false],
  // What a lane had yet to deliver counted as finished, because the lane was given up for the window.
  [config({}), [append("b"), only("b", "c"), receive(), only(), crash, nack(0, true)], false],
  // What failed in the moment when the window came to it counted as finished ahead of the window.
  [config({ onFailure: "skip" }), [append("a", "a"), receive(), wait(6_000), leave("n"), append("a")], true],
  // A letter under lease was taken back with those behind a failure, and stood in no line any more.
  [
    config({ order: "partition", onFailure: "skip", maxInFlight: 100 }),
    [append("a", "a"), receive(2), nack(1), letters("redrive", [0]), receive(), nack()],
    false,
  ],
  // An old receipt took back what was given back for good, before it had become a letter.
  [
    config({ onFailure: "skip" }),
    [append("a"), receive(), crash, receive(1, "n"), wait(6_000), leave("m"), crash, nack(), ack(true), wait(10)],
    false,
  ],
  // A lease that was over, and written down, stood in the way of the next one's receipt.
  [
    config({ maxInFlight: 100 }),
    [
      append("a", "c"),
      receive(2),
      wait(6_000),
      { do: "release", pick: [0], any: false },
      nack(),
      receive(),
      crash,
      ack(true, 17),
    ],
    false,
  ],
  // A lease of before a crash outlived its member.
  [
    config({ onFailure: "park" }),
    [append("a"), receive(1, "n"), wait(6_000), saveLeases, crash, leave("n"), receive()],
    false,
  ],
  // A lease of before a crash was not written down any more, because another member left.
  [
    config({ maxInFlight: 3 }),
    [
      append("a", "b"),
      receive(1, "n"),
      wait(6_000),
      saveLeases,
      crash,
      receive(1, "m"),
      leave("m"),
      crash,
      receive(3, "m"),
    ],
    false,
  ],
  // A record without a key that died as it was read again was read for ever.
  [
    config({ onFailure: "park", maxDeliveries: 2 }),
    [append(undefined, "a"), receive(), wait(40_000), receive(), wait(6_000), saveLeases, crash],
    false,
  ],
  // Acked by a lease of before a crash: the record of a lane that stood at it counted until it was read.
  [
    config({ order: "none", maxInFlight: 3 }),
    [
      append("a", "a"),
      receive(),
      nack(),
      receive(),
      wait(6_000),
      receive(),
      { do: "release", pick: [9], any: false },
      crash,
      ack(),
      crash,
    ],
    false,
  ],
  // What counted of a record whose member left stood in memory alone.
  [config({}), [append("a"), receive(), leave("m"), crash, receive()], false],
  // The same of two lines, where the first one's lease ended with a restart, and the second's with it.
  [
    config({ order: "partition", maxInFlight: 3 }),
    [
      append("a", "a"),
      receive(2),
      leave("m"),
      receive(2, "n"),
      wait(6_000),
      saveLeases,
      crash,
      leave("n"),
      receive(2),
      crash,
      receive(2),
    ],
    false,
  ],
  // And of a lane that an incident had made, where its record went back to the window.
  [config({}), [only("b", "c"), append("b", "a"), receive(), leave("m"), only(), crash, receive()], false],
  // Of two lines of a member that a restart had cut off, one counted, and the other did not.
  [
    config({ order: "partition", maxInFlight: 3 }),
    [append("a", "a"), receive(2, "n"), wait(6_000), saveLeases, crash, leave("n"), receive()],
    false,
  ],
  // An attempt of before its record had a lane was told again after each time that it was redriven.
  [
    config({ order: "partition", onFailure: "park", maxDeliveries: 2 }),
    [append("a"), receive(), leave("m"), receive(), nack(), letters("redrive"), receive(), nack(), receive(), nack()],
    false,
  ],
  // Amid an incident an ack that was repeated after a crash counted twice, where the lane of another key had yet to read.
  [
    config({ onFailure: "park", maxInFlight: 3 }),
    [append("a", "a"), receive(), nack(), only("b"), append("b"), receive(), ack(), skip, crash, ack(true, 1)],
    false,
  ],
  // To resume a lane that had yet to read redrove the letter of another key, which lay at the lane's place, and was shown there.
  [
    config({ onFailure: "skip" }),
    [only("b"), append("b"), receive(), nack(), only("b", "c"), orderOpen("resumeLane", 1, false)],
    false,
  ],
  [
    config({ onFailure: "skip" }),
    [only("b"), append("b", "c"), receive(), nack(), only("b", "c"), orderOpen("skip", 1, true), letters("redrive")],
    true,
  ],
  // Of a lane that read ahead of the window after a restart, what the window had left to it before did not count.
  [
    config({ maxInFlight: 1 }),
    [append("d", "a"), receive(), only("a"), crash, orderOpen("resumeLane", 0, true)],
    false,
  ],
  // A lease of before a restart that was taken back left those behind it in their members' hands.
  [
    config({ order: "partition", maxInFlight: 100 }),
    [
      append("a", "a"),
      receive(),
      wait(40_000),
      receive(2),
      wait(6_000),
      { do: "release", pick: [0], any: true },
      crash,
      { do: "release", pick: [0], any: false },
      receive(),
    ],
    false,
  ],
  // A lease that was extended, and had been written down before, ended after a crash when it would have without that.
  [
    config({}),
    [
      append("a"),
      receive(),
      wait(6_000),
      saveLeases,
      { do: "extend", pick: [0], any: false },
      wait(40_000),
      crash,
      receive(),
    ],
    false,
  ],
  // What a lane had left behind it was counted on when all of its key was forgotten.
  [config({}), [append("b", "a"), receive(), only("b", "c"), crash, forget("b"), only()], false],
  // What was finished ahead of the window went with the lane of another key that was forgotten.
  [
    config({}),
    [append("a"), only("a"), receive(), append("a"), ack(true), forget("b"), { do: "seek", share: 0 }],
    false,
  ],
  // A lease that was acked was shown again after a crash, because a lane of another key had yet to read.
  [
    config({ maxInFlight: 3 }),
    [append("a"), receive(), nack(), append(undefined), receive(2), wait(6_000), saveLeases, ack(false, 3, 0), crash],
    false,
  ],
  // A lease of before a restart that had run out, and whose record had not been read again, was its member's still.
  [config({}), [...ranOutUnread, nack(0, true)], false],
  [config({}), [...ranOutUnread, { do: "extend", pick: [0], any: true }], false],
  [config({}), [...ranOutUnread, { do: "release", pick: [0], any: true }, receive()], false],
  [config({}), [...ranOutUnread, { do: "giveBack", pick: [0], any: true }, receive()], false],
  [config({ backoff: [500] }), [...ranOutUnread, leave("m"), receive()], false],
  // In order, what had run out before those before it went again was taken back with it, though it had failed by itself.
  [inOrder, [...secondRanOut, nack(), receive(2)], false],
  [inOrder, [...secondRanOut, wait(40_000), wait(40_000), receive(2)], false],
  [inOrder, [...secondRanOut, { do: "release", pick: [0], any: false }, receive(2)], false],
  [inOrder, [...secondRanOut, leave("m"), receive(2)], false],
  // And what died of its member's going, because a record before it went with the same one.
  [
    { ...inOrder, onFailure: "skip" },
    [append("a", "a"), receive(2), wait(6_000), saveLeases, crash, leave("m"), receive(2)],
    false,
  ],
  // After a crash the bucket of a rate was full that had been at rest, and had just been taken from.
  [
    config({ rate: { perSecond: 2, burst: 3 } }),
    [append("a"), receive(), wait(40_000), receive(), crash, receive(), leave("m"), receive(), nack(), receive()],
    false,
  ],
  [
    config({ rate: { perSecond: 2, burst: 3 }, maxInFlight: 100 }),
    [append("a", "b", "c", "d", "e", "f"), receive(), wait(4_000), receive(2), crash, receive(4)],
    false,
  ],
  // A letter that was redriven, and that its lane had come to ahead of the window, counted twice after a crash.
  [config({}), [append("a", "a", "c"), only("b", "c"), orderOpen("skip", 3, true), letters("redrive", [0])], true],
  // Amid an incident a crash gave up the lane of a key that was not let through any more: an ack that is repeated may count twice.
  [config({}), [only("b", "c"), append("c", "b"), receive(), only("a"), receive(), ack(), crash, ack(true)], false],
];

/** The same, of what goes out of the log, or of the filter, meanwhile. */
export const foundHoles: History[] = [
  // What waits behind a damaged record, or one that was trimmed, had no age.
  [config({}), [append("a"), { do: "damage", pick: 0 }, append("a"), crash], false],
  [config({}), [append("a"), append("a"), { do: "trim", share: 0.5 }, crash], false],
  // What a lane had finished ahead of the window counted as that for ever, where it was gone when the window came there.
  [config({}), [append("c", "a"), only("b", "c"), append("c"), receive(), { do: "compact", pick: [0] }, ack()], false],
  // A letter that is parked in order was passed over after a restart, as its record was gone.
  [
    config({ order: "partition", onFailure: "park" }),
    [append("a", "a"), receive(), { do: "compact", pick: "all" }, nack(), crash, receive()],
    false,
  ],
  [
    config({ order: "partition", onFailure: "park" }),
    [append("a", "a"), receive(), { do: "trim", share: 0.5 }, nack(), crash, receive()],
    true,
  ],
  // What a filter of before had passed over was so for the next one too, where it was read before the change and arrived behind it.
  [
    config({}),
    [append("a"), append("b"), { do: "filter", filter: { key: "b" } }, { do: "ask" }, { do: "filter", filter: null }],
    false,
  ],
  // Nor did one count that an incident's lane was parked at.
  [
    config({ onFailure: "park" }),
    [only("a"), append("a", "a"), receive(), nack(), { do: "compact", pick: "all" }, ack()],
    false,
  ],
];
