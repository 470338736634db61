import { DurableObject } from "cloudflare:workers";
import { closeBack } from "./socket.ts";

/** What an object does with sockets. */
export interface Doorman {
  accept(request: Request): Response;
  message(socket: WebSocket, message: string | ArrayBuffer): void;
  closed(socket: WebSocket, reason: string, code?: number): void;
}

/** An object whose sockets sleep with it. */
export abstract class Hibernating<Env> extends DurableObject<Env> {
  /** Undefined where there is nothing to connect to. */
  abstract get doorman(): Doorman | undefined;

  override async fetch(request: Request): Promise<Response> {
    return this.doorman?.accept(request) ?? new Response(null, { status: 404 });
  }

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    this.doorman?.message(socket, message);
  }

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    closeBack(socket, code, reason);
    this.doorman?.closed(socket, "its socket was closed", code);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.doorman?.closed(socket, "its socket broke");
  }
}
