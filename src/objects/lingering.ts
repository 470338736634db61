/** An incomplete batch waits once for more. */
export class Lingering {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  /** `over`: it has waited. */
  constructor(readonly over: () => void) {}

  /** Whether records that are ready are to wait for more, `most` being as many as a batch has. */
  isOn(ready: number, most: number, waitMs: number): boolean {
    if (ready >= most || ready === 0 || this.#over) {
      this.#over = false;
      return false;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#over = true;
      this.over();
    }, waitMs);
    return true;
  }
}
