/**
 * A Rig with a WireGuard interface: peers, session keys and tunnel addresses through the product's writers, and the plain twin that
 * opens and makes transport data with node:crypto.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { KeySlots, type MemorySizes } from "@weft/dataplane-wasm";
import { addressKey, type Build, Rig, type Sent } from "./rig.js";

/** One direction of a session: what the twin needs to seal and open. */
export interface Direction {
  readonly key: Buffer;
  /** Receiver index in the messages. */
  readonly index: number;
}
export type Remote = Extract<Sent, { payload: Buffer }>;

const nonce = (counter: bigint): Buffer => {
  const out = Buffer.alloc(12);
  out.writeBigUInt64LE(counter, 4);
  return out;
};

/** Makes transport data of a packet: padded as WireGuard pads. */
export function sealed({ key, index }: Direction, counter: bigint, packet: Uint8Array, padding = true): Buffer {
  const plain = Buffer.alloc(padding ? Math.ceil(packet.length / 16) * 16 : packet.length);
  plain.set(packet);
  const cipher = createCipheriv("chacha20-poly1305", key, nonce(counter), { authTagLength: 16 });
  const head = Buffer.alloc(16);
  head.writeUInt32LE(4, 0);
  head.writeUInt32LE(index, 4);
  head.writeBigUInt64LE(counter, 8);
  return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Opens transport data, padding included. Throws when the tag is wrong. */
export function opened({ key, index }: Direction, message: Buffer): { counter: bigint; plain: Buffer } {
  if (message.readUInt32LE(0) !== 4) throw new Error(`message of type ${message.readUInt32LE(0)}`);
  if (message.readUInt32LE(4) !== index) throw new Error(`receiver index ${message.readUInt32LE(4)}, not ${index}`);
  const counter = message.readBigUInt64LE(8);
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce(counter), { authTagLength: 16 });
  decipher.setAuthTag(message.subarray(-16));
  return { counter, plain: Buffer.concat([decipher.update(message.subarray(16, -16)), decipher.final()]) };
}

export interface Session {
  readonly slot: number;
  /** What the switch seals. */
  readonly out: Direction;
  /** What it opens. */
  readonly in: Direction;
}

export class TunnelRig extends Rig {
  readonly slots: KeySlots;

  /** @param addresses own ones inside the tunnel */
  constructor(build: Build, addresses: readonly string[], sizes: Partial<MemorySizes> = {}, rekeyAfter = 2n ** 60n) {
    super(build, { peersMax: 4, ...sizes });
    this.slots = new KeySlots(this.switchMemory);
    this.tables.tunnel.start({
      vxlanPort: 4789,
      addresses: addresses.map((text) => ({ family: text.includes(":") ? 6 : 4, key: addressKey(text) })),
      mac1Key: Buffer.alloc(32, 0x11),
      rekeyAfter,
    });
    this.tables.tunnel.setCookieSecret(Buffer.alloc(32, 0x22));
  }

  /** A peer with prefixes and, unless null, an endpoint at port 51820. */
  peer(allowed: readonly string[], endpoint: string | null, mtu = 1440): number {
    const index = this.tables.tunnel.addPeer();
    if (index === undefined) throw new Error("no room for a peer");
    this.tables.tunnel.setAllowed(
      index,
      allowed.map((text) => {
        const [address = "", length] = text.split("/");
        return { family: address.includes(":") ? 6 : 4, key: addressKey(address), length: Number(length) };
      }),
    );
    const family = endpoint?.includes(":") ? 6 : 4;
    this.tables.tunnel.setEndpoint(
      index,
      endpoint === null ? undefined : { family, key: addressKey(endpoint), port: 51_820 },
      mtu,
    );
    return index;
  }
  /** Keys for a peer, which it seals with from the next commit() on. */
  session(peer: number, salt: number, { worker = 0, bornMs = 0 } = {}): Session {
    const taken = this.slots.reserve(peer, worker);
    if (!taken) throw new Error("no free slot");
    const send = Buffer.alloc(32, salt);
    const receive = Buffer.alloc(32, salt + 1);
    const remote = 0x0100_0000 + salt;
    this.slots.install(taken.slot, { send, receive }, remote, bornMs);
    this.tables.tunnel.setSendSlot(peer, taken.slot);
    return { slot: taken.slot, out: { key: send, index: remote }, in: { key: receive, index: taken.local } };
  }
  tunnelVtep(network: number, address: string, peer: number | undefined): number {
    const family = address.includes(":") ? 6 : 4;
    const index = this.tables.addVtep({ network, address: addressKey(address), family, port: 4789, tunnel: { peer } });
    if (index === undefined) throw new Error("no room for a VTEP");
    return index;
  }
}
