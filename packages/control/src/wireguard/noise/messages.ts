/**
 * The three messages of the handshake and the head of transport data (WireGuard paper §5.4): where their fields are.
 *
 * All numbers are little-endian. Lengths in octets; a message of another length is none.
 */

export const TYPE = { INITIATION: 1, RESPONSE: 2, COOKIE_REPLY: 3, TRANSPORT: 4 } as const;

export const INITIATION = {
  LEN: 148,
  SENDER: 4,
  EPHEMERAL: 8,
  STATIC: 40,
  TIMESTAMP: 88,
  MAC1: 116,
  MAC2: 132,
} as const;
export const RESPONSE = { LEN: 92, SENDER: 4, RECEIVER: 8, EPHEMERAL: 12, NOTHING: 44, MAC1: 60, MAC2: 76 } as const;
export const COOKIE_REPLY = { LEN: 64, RECEIVER: 4, NONCE: 8, COOKIE: 32 } as const;
/** Octets of mac1, of mac2 and of a cookie. */
export const MAC_LEN = 16;
/** Octets of a TAI64N time. */
export const TIMESTAMP_LEN = 12;

/** Which of them this datagram is; undefined: none that can be read. Bytes 1 to 3 are reserved and must be 0. */
export function typeOf(datagram: Buffer): "initiation" | "response" | "cookieReply" | undefined {
  if (datagram.length < 4) return undefined;
  const type = datagram.readUInt32LE(0);
  if (type === TYPE.INITIATION && datagram.length === INITIATION.LEN) return "initiation";
  if (type === TYPE.RESPONSE && datagram.length === RESPONSE.LEN) return "response";
  if (type === TYPE.COOKIE_REPLY && datagram.length === COOKIE_REPLY.LEN) return "cookieReply";
  return undefined;
}
