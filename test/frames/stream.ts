/** Streams of frames as the underlay brings them: numbered, and now and then lost, doubled, exchanged or damaged. */

import { parseFrame } from "../models/frame.js";
import { mac, PROTO, TCP } from "./build.js";
import { content, type Packet, packetFrame } from "./super.js";

/** From mac 9, which is behind a VTEP, to mac 1, a container. */
const INWARD = { srcMac: mac(9), dstMac: mac(1) };

/** `n` frames of one flow, one behind the other: TCP sequence and IPv4 identification go on. */
export function stream(n: number, given: Packet & { readonly size?: number } = {}): Buffer[] {
  const { size = 100, id = 1 } = given;
  const seq = given.tcp?.seq ?? 1000;
  return Array.from({ length: n }, (_, i) =>
    packetFrame({
      ...INWARD,
      payload: content(size, i + 1),
      ...given,
      id: (id + i) % 65_536,
      tcp: { flags: TCP.ack, ...given.tcp, seq: seq + i * size },
    }),
  );
}

/** What happens next on the wire. */
export interface Step {
  readonly flow: number;
  readonly event: "next" | "again" | "lost" | "ack" | "old" | "damaged" | "fin" | "short" | "long";
  readonly size: number;
  /** Changes of this frame alone. */
  readonly change: Packet;
  readonly isPushed: boolean;
}

/** Frames of up to eight flows, even ones TCP, every second pair over IPv6; each flow has its own state. */
export function wire(steps: readonly Step[], fixed: Packet = {}): Buffer[] {
  const flows = Array.from({ length: 8 }, (_, i) => ({
    seq: (0xffff_f000 + i * 500) % 2 ** 32,
    id: 65_530,
    last: 0,
    n: i,
  }));
  return steps.flatMap(({ flow, event, size, change, isPushed }): Buffer[] => {
    const state = flows[flow % 8] as (typeof flows)[0];
    const isTcp = flow % 2 === 0;
    const length = event === "short" ? Math.max(1, size - 7) : event === "long" ? size + 7 : event === "ack" ? 0 : size;
    const seq = event === "again" ? state.last : event === "old" ? state.seq - 5 : state.seq;
    const flags = TCP.ack | (isPushed ? TCP.psh : 0) | (event === "fin" ? TCP.fin : 0);
    const frame = packetFrame({
      ...INWARD,
      version: flow % 4 < 2 ? 4 : 6,
      protocol: isTcp ? "tcp" : "udp",
      ports: [5000 + flow, 9],
      id: state.id,
      payload: content(length, ++state.n * 8),
      ...fixed,
      ...change,
      tcp: { flags, seq, ...change.tcp },
    });
    state.last = seq;
    state.id = (state.id + 1) % 65_536;
    if (event !== "again" && event !== "old") state.seq = (state.seq + length) % 2 ** 32;
    if (event === "damaged") frame[frame.length - 1] = (frame[frame.length - 1] as number) ^ 0x40;
    return event === "lost" ? [] : [frame];
  });
}

/** A frame without IPv4 identification and header checksum, and with `isOpen` without transport checksum. */
export function withoutId(frame: Buffer, isOpen = false): Buffer {
  const out = Buffer.from(frame);
  const p = parseFrame(frame);
  if (p.version === 4) {
    out.writeUInt16BE(0, p.l3 + 4);
    out.writeUInt16BE(0, p.l3 + 10);
  }
  if (isOpen && p.l4 > 0) out.writeUInt16BE(0, p.l4 + (p.protocol === PROTO.tcp ? 16 : 6));
  return out;
}
