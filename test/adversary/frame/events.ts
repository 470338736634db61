/** Server-sent events, as they come. */
export interface Event {
  readonly type: string;
  readonly id: string | undefined;
  readonly data: string;
}

/** Events of a stream of bytes, as the standard has them. */
export async function* eventsOf(body: AsyncIterable<Buffer>): AsyncGenerator<Event> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const event = eventOf(rest.slice(0, end).split(/\r\n|\r|\n/));
      rest = rest.slice(end + 2);
      if (event !== undefined) yield event;
    }
  }
}

function eventOf(lines: readonly string[]): Event | undefined {
  const fields: Record<string, string[]> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    fields[name] ??= [];
    fields[name].push(colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, ""));
  }
  const { data, event, id } = fields;
  return data && { type: event?.at(-1) ?? "", id: id?.at(-1), data: data.join("\n") };
}
