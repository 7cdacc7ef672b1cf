/**
 * Loads the native addon and gives its functions types. Every function throws what `attempt()` in errors.ts reads.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** An Io inside the addon. */
export type IoHandle = { readonly io: never };

/** Flags of deviceOpen and deviceDescribe (tap.h). */
export const TAP_FLAG = { VNET_HDR: 1, MULTI_QUEUE: 2, PERSIST: 4, MUST_EXIST: 8, IS_TUN: 16 } as const;
/** Bits of deviceOffload (tap.h). */
export const TAP_OFFLOAD = { CSUM: 1, TSO4: 2, TSO6: 4, USO: 8 } as const;
/** Flags of udpOpen (addon.c). */
export const UDP_FLAG = { REUSE_PORT: 1, GRO: 2, FORCE: 4, PACKET_INFO: 8, DONT_FRAGMENT: 16 } as const;
/** netnsFd for "the caller's own namespace" (netns.h). */
export const NETNS_OWN = -1;

export interface NativeProbe {
  readonly vnetHdr: boolean;
  readonly tapChecksum: boolean;
  readonly tso: boolean;
  readonly uso: boolean;
  readonly coalesceTcp: boolean;
  readonly coalesceUdp: boolean;
  readonly gso: boolean;
  readonly gro: boolean;
  readonly gsoMax: number;
  readonly tunGetDevNetns: boolean;
  readonly bufferForce: boolean;
  readonly reuseportSteering: boolean;
}

export interface Native {
  deviceOpen(name: string, flags: number, netnsFd: number): { fd: number; name: string };
  deviceDescribe(fd: number): { name: string; flags: number };
  deviceOffload(fd: number, bits: number): number;
  devicePersist(fd: number, on: 0 | 1): number;
  deviceNetns(fd: number): number;
  netlinkOpen(netnsFd: number): number;
  netlinkRequest(fd: number, message: Uint8Array): Buffer;
  udpOpen(
    family: number,
    address: string,
    port: number,
    flags: number,
    receiveBuffer: number,
    sendBuffer: number,
  ): { fd: number; port: number; receiveBuffer: number; sendBuffer: number; gro: boolean };
  udpDrops(fd: number): number;
  udpSend(fd: number, family: number, octets: Uint8Array, address: string, port: number, from: string): number;
  udpSteerWireguard(fd: number, members: number): number;
  serviceOpen(netnsFd: number, family: number, stream: 0 | 1, address: string, port: number, device: string): number;
  abstractLock(name: string): number;
  fileLock(fd: number): number;
  unixSend(path: string, text: string): number;
  parentDeathSignal(signal: number): number;
  trimMemory(): number;
  wake(eventfd: number): void;
  probe(): NativeProbe;
  ioCreate(memory: Uint8Array, worker: number, gso: 0 | 1): IoHandle;
  ioWakeHandle(io: IoHandle): number;
  ioAddPort(io: IoHandle, port: number, fd: number, reads: 0 | 1): number;
  ioRemovePort(io: IoHandle, port: number): number;
  ioAddReceiver(io: IoHandle, index: number, fd: number): number;
  ioAddSender(io: IoHandle, index: number, fd: number): number;
  ioPoll(io: IoHandle, timeoutMs: number, spinUs: number): number;
  ioReadPorts(io: IoHandle, max: number): number;
  ioReceive(io: IoHandle, max: number): number;
  ioSend(io: IoHandle, count: number): number;
  ioTakeGone(io: IoHandle): number[];
  ioClose(io: IoHandle): void;
}

let loaded: Native | undefined;

/**
 * The addon, loaded on first use: the in-memory twin works without it.
 * @throws Error when it was never built, with the command that builds it.
 */
export function native(): Native {
  if (loaded) return loaded;
  const asan = process.env.WEFT_TUN_ADDON === "asan";
  const file = fileURLToPath(new URL(`../build/weft_tun${asan ? ".asan" : ""}.node`, import.meta.url));
  if (!existsSync(file)) {
    const command = `node ${fileURLToPath(new URL("../scripts/build-addon.mjs", import.meta.url))}${asan ? " --asan" : ""}`;
    throw new Error(`@weft/tun: the native addon is not built; build it: ${command}`);
  }
  loaded = createRequire(import.meta.url)(file) as Native;
  return loaded;
}
