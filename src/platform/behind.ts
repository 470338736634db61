/**
 * Lets work go on behind the request that began it, whose end would cut it off. Its failure is its own. The platform is asked when
 * it is needed: the routes are read outside workerd too, for the reference.
 */
export function behind(work: Promise<unknown>): void {
  const settled = work.catch(() => {});
  import("cloudflare:workers").then(({ waitUntil }) => waitUntil(settled)).catch(() => {});
}
