/** What the reference says of sockets and tickets. */
import { clientMessage, liveQuery, streamMessage } from "../../../schemas/frames.ts";
import { ticketBody, ticketView } from "../../../schemas/ticket.ts";
import { type Operation, ofStream, withBody } from "../operation.ts";

export const liveOperations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/v1/:ns/streams/:stream/live": {
    GET: {
      summary: "Follow and append by WebSocket",
      detail:
        "Subprotocols millrace.v1 (JSON) and millrace.v1.binary (packed frames). A browser offers millrace.ticket.<ticket> beside it. The text `ping` is answered with `pong`.",
      messages: { from: clientMessage, to: streamMessage },
      query: liveQuery,
      answers: { 101: { says: "The socket." } },
      refusals: [...ofStream, "upgrade-required", "partition-not-found", "too-many"],
    },
  },
  "/v1/:ns/streams/:stream/tickets": {
    POST: {
      summary: "Make a ticket for a browser",
      detail: "For this stream, for a short time, with no more rights than the token that asks for it.",
      body: ticketBody,
      answers: { 201: { says: "The ticket.", body: ticketView } },
      refusals: [...ofStream, ...withBody],
    },
  },
};
