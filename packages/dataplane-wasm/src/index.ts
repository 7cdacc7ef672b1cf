/**
 * The switch as TypeScript sees it: its module and memory, the tables it reads and the counters it writes. What the
 * octets of that memory mean is in `@weft/dataplane-wasm/abi`.
 */

export type { MemorySizes } from "../abi/index.js";
export { planMemory } from "../abi/index.js";
export {
  type Block,
  type CounterBlock,
  CounterReader,
  type EntryEvent,
  type FdbRow,
  type NeighbourRow,
  type Owner,
  type PeerEvent,
  type RefusedEvent,
  type SwitchEvent,
} from "./counters.js";
export {
  address,
  createMemory,
  elementAddress,
  instantiate,
  loadModule,
  type SwitchExports,
  type SwitchMemory,
  type SwitchModule,
} from "./instance.js";
export { KeySlots } from "./key-slots.js";
export { clearPeerTimes, type PeerTimes, readPeerTimes } from "./peer-live.js";
export { type Punt, Punts } from "./punts.js";
export { type Key, routeHash } from "./route-hash.js";
export { type HopRow, type RoutedRow, routedRows } from "./routed-rows.js";
export { type NetworkRow, type PortRow, type RouteRow, Tables, type Target, type VtepRow } from "./tables.js";
export { type TalkRow, Talks } from "./talks.js";
export { type AllowedRow, type EndpointRow, octetsOf, type TunnelRow } from "./tunnel-tables.js";
export type { WasmMemory, WasmModule } from "./webassembly.js";
