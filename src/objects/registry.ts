/** The list of all namespaces, which one object keeps: of each it holds what the namespace's own catalog says. */
import type { Catalog } from "../catalog/catalog.ts";
import { catalog, type Env } from "./stubs.ts";

export class Registry {
  readonly #looking = new Map<string, Promise<void>>();

  constructor(
    readonly env: Env,
    readonly core: Catalog,
  ) {}

  /**
   * To be called after a namespace was created or deleted, any number of times, in any order. Looks at one name follow each other:
   * the last one has seen everything that happened before it was asked for, and no older answer comes after its own.
   */
  async relist(name: string): Promise<void> {
    const before = this.#looking.get(name) ?? Promise.resolve();
    const look = before.catch(() => {}).then(() => this.#look(name));
    this.#looking.set(name, look);
    try {
      await look;
    } finally {
      if (this.#looking.get(name) === look) this.#looking.delete(name);
    }
  }

  async #look(name: string): Promise<void> {
    const created = await catalog(this.env, name).describe();
    if (created.ok) this.core.register(name, created.value);
    else this.core.unregister(name);
  }
}
