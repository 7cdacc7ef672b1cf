/** Longest prefix match by looking at every prefix. */

export interface Prefix<T> {
  /** 4 or 16 octets. */
  readonly octets: Uint8Array;
  readonly length: number;
  readonly target: T;
}

/** True when the first `length` bits are equal. */
function covers(prefix: Prefix<unknown>, address: Uint8Array): boolean {
  if (prefix.octets.length !== address.length) return false;
  for (let bit = 0; bit < prefix.length; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((prefix.octets[bit >> 3] as number) & mask) !== ((address[bit >> 3] as number) & mask)) return false;
  }
  return true;
}

/** Target of the longest prefix that covers the address; the later of two equal ones. */
export function longestPrefix<T>(prefixes: readonly Prefix<T>[], address: Uint8Array): T | undefined {
  let best: Prefix<T> | undefined;
  for (const prefix of prefixes) if (covers(prefix, address) && prefix.length >= (best?.length ?? 0)) best = prefix;
  return best?.target;
}
