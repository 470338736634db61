/** Lines of a stream of bytes, with a bound on what is held of one that does not end. */
export async function* linesOf(input: AsyncIterable<Buffer | string>): AsyncGenerator<string, void, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const part of input) {
    rest += typeof part === "string" ? part : decoder.decode(part, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() as string;
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
  if (rest !== "") yield rest;
}
