import { serve } from "./http/cors.ts";
import type { Env } from "./objects/stubs.ts";

export { Catalog } from "./objects/catalog.ts";
export { Delivery } from "./objects/delivery.ts";
export { Partition } from "./objects/partition.ts";
export { MillraceApi } from "./worker-api.ts";

export default { fetch: serve } satisfies ExportedHandler<Env>;
