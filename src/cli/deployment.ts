import { Http } from "../client/http.ts";
import { type Common, haste, settle } from "./config.ts";

/** Requests to what stands above the namespaces of a deployment. */
export class Deployment extends Http {
  override readonly base = `${this.options.url.replace(/\/+$/, "")}/v1`;
}

export const connectDeployment = (flags: Common): Deployment => new Deployment({ ...settle(flags), retry: haste });
