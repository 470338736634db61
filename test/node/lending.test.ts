/** Loans of members that do not read: what they bring is bounded for all together, however large the records are. */
import { expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { Lending } from "../../src/http/groups/lending.ts";
import { newAccount, Owed, Pool } from "../../src/objects/owed.ts";
import { count } from "../../src/objects/socket.ts";

const socket = () => ({ send: () => {} }) as unknown as WebSocket;

function member(pool: Pool): Lending {
  const client = socket();
  const owed = new Owed(newAccount(), pool);
  count(client, owed);
  const lending = new Lending({ client, owed, expected: pool.expected, slow: () => {}, crowded: () => {} });
  lending.credits = limits.creditsMax;
  for (let partition = 0; partition < 4; partition++) lending.add(partition, socket()).waiting = true;
  return lending;
}

const lent = (lending: Lending) => [...lending.upstreams.values()].filter(({ lent }) => lent > 0).length;

test.each([1_000, 300_000, 1_400_000])("five hundred members, records of %i bytes", (bytes) => {
  const pool = new Pool();
  const first = member(pool);
  first.lend();
  const [upstream] = [...first.upstreams.values()].filter(({ lent }) => lent > 0);
  pool.expected.saw(bytes);
  first.back(upstream, 1);
  const members = Array.from({ length: 500 }, () => member(pool));
  for (const one of members) one.lend();
  const loans = members.reduce((sum, one) => sum + lent(one), 0);
  expect(loans).toBeGreaterThan(10);
  expect(loans * bytes).toBeLessThan(limits.unconfirmedBytesOfAllMax);
});

test("a large record is forgotten when nothing such comes any more", () => {
  const { expected } = new Pool();
  expected.saw(1_400_000);
  for (let i = 0; i < 300; i++) expected.saw(1_000);
  expect(expected.bytes).toBeLessThan(100_000);
  for (let i = 0; i < 300; i++) expected.saw(1_000);
  expect(expected.bytes).toBeLessThan(3_600);
});
