/**
 * TAP and TUN devices and batched UDP between the Linux kernel and caller-owned memory, and a twin of both in memory.
 */
export { createSystemError, errnoName } from "./errors.js";
export { kernelLink } from "./kernel.js";
export * from "./link.js";
export type { MemoryDevice, MemoryFrame } from "./memory-device.js";
export { MemoryLink, type MemoryLinkOptions } from "./memory-link.js";
export {
  type Datagram,
  type Impairments,
  MemoryNetwork,
  type MemoryNetworkOptions,
  type WireCounts,
} from "./memory-network.js";
export { lockFile, netnsIdentity, sdNotify, setParentDeathSignal, trimMemory } from "./process.js";
export { type OpenService, openService } from "./service.js";
export type { PortTaken } from "./udp.js";
