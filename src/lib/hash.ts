/**
 * MurmurHash3 (x86, 32 bit) of `bytes[from, to)`, as an unsigned number. The same in every language, so that a client can
 * route by key as the server does.
 */
export function murmur3(bytes: Uint8Array, seed = 0, from = 0, to = bytes.length): number {
  let hash = seed;
  const blocks = from + ((to - from) & ~3);
  let i = from;
  for (; i < blocks; i += 4) {
    const block = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    hash ^= mix(block);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let shift = 0; i < to; i++, shift += 8) rest |= bytes[i] << shift;
  if (blocks < to) hash ^= mix(rest);
  hash ^= to - from;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mix(block: number): number {
  block = Math.imul(block, 0xcc9e2d51);
  return Math.imul((block << 15) | (block >>> 17), 0x1b873593);
}
