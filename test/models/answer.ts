/** Plain model of answered questions: the answer's octets, written from the RFC figures, or undefined for what is not answered. */
import { arp, ETHERTYPE, ethernet, ipv6, neighbour, PROTO } from "../frames/build.js";
import { checksum, pseudo16 } from "./checksum.js";

/** MAC of an address, hexadecimal without punctuation. */
export type MacOf = (address: string) => number | undefined;

const text = (octets: Buffer): string =>
  octets.length === 4
    ? octets.join(".")
    : [0, 2, 4, 6, 8, 10, 12, 14].map((at) => octets.readUInt16BE(at).toString(16)).join(":");

/** What a station that asks with this frame gets. @param macOf MAC of an address in hexadecimal octets */
export function answerTo(frame: Buffer, macOf: MacOf): Buffer | undefined {
  const asker = frame.readUIntBE(6, 6);
  const type = frame.readUInt16BE(12);
  if (type === ETHERTYPE.arp) return answerArp(frame.subarray(14), asker, macOf);
  return type === ETHERTYPE.ipv6 ? answerSolicitation(frame.subarray(14), asker, macOf) : undefined;
}

function answerArp(packet: Buffer, asker: number, macOf: MacOf): Buffer | undefined {
  if (packet.length < 28 || packet.toString("hex", 0, 8) !== "0001080006040001") return undefined;
  const [sender, target] = [packet.subarray(14, 18), packet.subarray(24, 28)];
  if (packet.readUIntBE(8, 6) !== asker || sender.equals(target)) return undefined;
  const mac = macOf(target.toString("hex"));
  if (mac === undefined || mac === asker) return undefined;
  const payload = arp({
    operation: 2,
    senderMac: mac,
    senderIp: text(target),
    targetMac: asker,
    targetIp: text(sender),
  });
  return ethernet({ dst: asker, src: mac, type: ETHERTYPE.arp, payload });
}

function answerSolicitation(packet: Buffer, asker: number, macOf: MacOf): Buffer | undefined {
  if (packet.length < 64 || (packet[0] as number) >> 4 !== 6 || packet[6] !== PROTO.icmp6 || packet[7] !== 255)
    return undefined;
  const length = packet.readUInt16BE(4);
  const message = packet.subarray(40, 40 + length);
  if (message.length < length || length < 24 || message[0] !== 135 || message[1] !== 0) return undefined;
  if (checksum(message, pseudo16(packet, PROTO.icmp6, length)) !== 0) return undefined;
  const [source, to, target] = [packet.subarray(8, 24), packet.subarray(24, 40), message.subarray(8, 24)];
  if (target[0] === 255 || source[0] === 255) return undefined;
  let hasSource = false;
  for (let at = 24; at < length; ) {
    const size = 8 * (message[at + 1] ?? 0);
    if (size === 0 || at + size > length) return undefined;
    hasSource ||= message[at] === 1;
    at += size;
  }
  const isProbe = source.every((octet) => octet === 0);
  if (isProbe && (hasSource || to.toString("hex", 0, 13) !== "ff0200000000000000000001ff")) return undefined;
  const mac = macOf(target.toString("hex"));
  if (mac === undefined || mac === asker) return undefined;
  const body = neighbour(136, text(target), mac);
  // Override; solicited, too, unless nobody can be named.
  body[4] = isProbe ? 0x20 : 0x60;
  const payload = ipv6({
    src: text(target),
    dst: isProbe ? "ff02::1" : text(source),
    hopLimit: 255,
    protocol: PROTO.icmp6,
    payload: body,
  });
  return ethernet({ dst: isProbe ? 0x3333_0000_0001 : asker, src: mac, type: ETHERTYPE.ipv6, payload });
}
