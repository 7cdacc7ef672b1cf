/** Which datagrams of one batch leave in one UDP_SEGMENT send. */

export interface Outgoing {
  /** Sending socket, and VTEP or peer: within it, order is kept. */
  readonly path: string;
  readonly tos: number;
  readonly octets: Buffer;
}

/**
 * UDP_SEGMENT sends, in the order of their first datagram.
 * @param most datagrams that one takes
 * @param isTransit what a relay hands on: there a shorter one is not the last of a send either
 */
export function group(datagrams: readonly Outgoing[], most: number, isTransit = false): Outgoing[][] {
  const sends: Outgoing[][] = [];
  /** The newest send of each path, while it takes more. */
  const open = new Map<string, Outgoing[]>();
  for (const one of datagrams) {
    const send = open.get(one.path);
    const first = send?.[0];
    const length = one.octets.length;
    const total = send?.reduce((sum, { octets }) => sum + octets.length, length) ?? 0;
    const isFull = send !== undefined && (send.length >= Math.min(most, 128) || total > 65_507);
    const isOther = length > (first?.octets.length ?? 0) || (isTransit && length !== first?.octets.length);
    if (!send || !first || isFull || first.tos !== one.tos || isOther) {
      sends.push([one]);
      open.set(one.path, sends.at(-1) as Outgoing[]);
      continue;
    }
    send.push(one);
    // The kernel cuts at one length: only the last may be shorter.
    if (length < first.octets.length) open.delete(one.path);
  }
  return sends;
}
