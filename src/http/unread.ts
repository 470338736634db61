/**
 * A request that is refused before its body was read: the rest of the body is read and thrown away. A server that answers and
 * closes while the client is still sending breaks the pipe, and the client may never read why.
 */

/** So much the platform reads by itself. */
const graceBytes = 65_536;
/** What is longer is cut off; and what takes longer, or comes no more: some clients announce a body and wait to be asked. */
const unreadBytesMax = 134_217_728;
const unreadMsMax = 10_000;
const silentMsMax = 250;

/** Whether a body may be left that is worth the trouble. */
export function mayLeaveMuch({ method, headers }: Request): boolean {
  if (method === "GET" || method === "HEAD" || headers.has("expect")) return false;
  const announced = headers.get("content-length");
  return announced === null ? headers.has("transfer-encoding") : Number(announced) > graceBytes;
}

/** Answers when the client has nothing left to send that nobody has read. */
export async function readToEnd(request: Request, answer: Response | Promise<Response>): Promise<Response> {
  const response = await answer;
  const { body, bodyUsed } = request;
  if (response.ok || body === null || bodyUsed || Number(request.headers.get("content-length")) > unreadBytesMax) {
    return response;
  }
  await discard(body.getReader());
  return response;
}

type Unread = Pick<ReadableStreamDefaultReader<Uint8Array>, "read" | "cancel">;

/** Reads on, a bounded time, up to a bounded length. */
export async function discard(reader: Unread): Promise<void> {
  const end = Date.now() + unreadMsMax;
  try {
    for (let length = 0; length <= unreadBytesMax && Date.now() < end; ) {
      const part = await nextOf(reader);
      if (part === undefined) break;
      if (part.done) return;
      length += part.value.length;
    }
    await reader.cancel();
  } catch {
    // The client has gone.
  }
}

/** Undefined where nothing comes. */
async function nextOf(reader: Unread) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), silentMsMax);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}
