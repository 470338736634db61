/** From the moment an append is sent to the moment a reader that waits at the tail has the record. */
import { setTimeout as pause } from "node:timers/promises";
import { figure } from "../compare.ts";
import { check, quantile } from "../load.ts";
import { jsonPayload } from "../payloads.ts";
import { Connection } from "../wire.ts";
import type { Case } from "./case.ts";

/** By then the reader's request has reached the object. */
const parkMs = 3;

export const longPollCase: Case = {
  names: ["longpoll.latency"],
  async run({ product, settings }) {
    const stream = await product.stream("longpoll");
    const post = product.post(`${stream}/records`, jsonPayload(1));
    const reader = await Connection.open(product.port);
    const writer = await Connection.open(product.port);
    const latencies: number[] = [];
    try {
      for (let offset = 0; offset < settings.longPolls; offset++) {
        const read = reader.ask(product.get(`${stream}/records?partition=0&from=${offset}&wait=30`));
        await pause(parkMs);
        const sent = performance.now();
        const received = read.then((answer) => {
          check(answer, 200);
          return performance.now() - sent;
        });
        const [latency, appended] = await Promise.all([received, writer.ask(post)]);
        check(appended, 201);
        latencies.push(latency);
      }
    } finally {
      reader.close();
      writer.close();
    }
    latencies.sort((a, b) => a - b);
    const [p50Ms, p99Ms] = [quantile(latencies, 0.5), quantile(latencies, 0.99)];
    return [{ ...figure("longpoll.latency", p50Ms, "ms"), p50Ms, p99Ms }];
  },
};
