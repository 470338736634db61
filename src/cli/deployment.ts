import { Http } from "../client/http.ts";
import { type Common, haste, reached, settle } from "./config.ts";

/** Requests to what stands above the namespaces of a deployment. */
export class Deployment extends Http {
  override get base(): string {
    return super.base.slice(0, super.base.lastIndexOf("/"));
  }
}

export const connectDeployment = (flags: Common): Deployment =>
  reached(() => new Deployment({ ...settle(flags), retry: haste }));
