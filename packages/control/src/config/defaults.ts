/** Defaults of `weft up`, and the types its flags have; free of any library so that every command may import it. */

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
export const LOG_FORMATS = ["pretty", "json"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Flags of `weft up`, each absent unless given. */
export interface UpFlags {
  readonly config?: string;
  readonly name?: string;
  readonly underlay?: readonly string[];
  readonly vtep?: readonly string[];
  readonly vxlanPort?: number;
  readonly socket?: string;
  readonly metrics?: string;
  readonly stateDir?: string;
  readonly workers?: number;
  readonly ephemeral?: boolean;
  readonly wireguardKeylog?: string;
  /** `HOST` or `HOST:PORT`. */
  readonly join?: readonly string[];
  readonly token?: string;
  readonly tokenFile?: string;
  /** `ADDR` or `ADDR:PORT`. */
  readonly advertise?: readonly string[];
  readonly port?: number;
  readonly wireguardPort?: number;
  readonly cidr?: readonly string[];
  /** false: `--no-discovery`, `--no-mesh`. */
  readonly discovery?: boolean;
  readonly mesh?: boolean;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
}

/** How a network is encrypted that does not say so itself. */
export function defaultEncryption(hasWireguard: boolean): "required" | "none" {
  return hasWireguard ? "required" : "none";
}

export const DEFAULT_SOCKET = "/run/weft/weft.sock";
export const DEFAULT_METRICS = "127.0.0.1:6782";
export const DEFAULT_STATE_DIR = "/var/lib/weft";
export const DEFAULT_VXLAN_PORT = 4789;
export const DEFAULT_LISTEN_PORT = 51_820;
/** TCP port of control links. */
export const DEFAULT_MESH_PORT = 6783;
/** WireGuard peers. */
export const DEFAULT_PEERS = 256;
/** Learned MACs. */
export const DEFAULT_FDB = 65_536;
