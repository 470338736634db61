/** What the sockets that this Worker holds owe together, by what they are of: nobody is held up by those of another stream. */
import { Pool } from "../../objects/owed.ts";

const pools = new Map<string, { readonly pool: Pool; users: number }>();

export interface Pooled {
  readonly pool: Pool;
  /** To be called once. */
  leave(): void;
}

export function poolOf(name: string): Pooled {
  const entry = pools.get(name) ?? { pool: new Pool(), users: 0 };
  pools.set(name, entry);
  entry.users++;
  return {
    pool: entry.pool,
    leave() {
      if (--entry.users === 0 && pools.get(name) === entry) pools.delete(name);
    },
  };
}
