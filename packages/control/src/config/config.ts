/** What a daemon runs with: flags over the file over defaults. */
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { NetworkSpec, PeerSpec, Route, WireguardSpec } from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import {
  DEFAULT_LISTEN_PORT,
  DEFAULT_METRICS,
  DEFAULT_PEERS,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
  DEFAULT_VXLAN_PORT,
  defaultEncryption,
  type LogFormat,
  type LogLevel,
  type UpFlags,
} from "./defaults.js";
import { splitEndpoint } from "./formats.js";
import type { Keys } from "./key-files.js";
import { hasMesh, type MeshConfig, meshConfig } from "./mesh.js";
import type { ConfigFile, FileNetwork, WireguardSection } from "./schema.js";

export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** A network of the file with its static table. */
export interface ConfiguredNetwork {
  readonly spec: NetworkSpec;
  readonly routes: readonly Route[];
}

export interface Config {
  readonly name: string;
  /** undefined: the source addresses of the default routes. */
  readonly underlay: readonly string[] | undefined;
  /** VTEPs of every network that lists none of its own. */
  readonly vteps: readonly string[];
  readonly vxlanPort: number;
  readonly workers: number;
  readonly socket: string;
  /** undefined: no TCP listener. */
  readonly metrics: Listen | undefined;
  /** undefined: --ephemeral, nothing is kept. */
  readonly stateDir: string | undefined;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly limits: NonNullable<ConfigFile["limits"]>;
  /** undefined: the configuration is static. */
  readonly mesh: MeshConfig | undefined;
  /** Without a mesh; undefined: no WireGuard. */
  readonly wireguard: WireguardSpec | undefined;
  readonly networks: readonly ConfiguredNetwork[];
}

/**
 * @param environment may have a token in WEFT_TOKEN
 * @throws WeftError bad_config (rejects) when the file, or a key file that it names, cannot be used, or flags and file contradict
 *   each other. Single flags must have been checked by the caller.
 */
export async function resolveConfig(flags: UpFlags, environment: NodeJS.ProcessEnv = process.env): Promise<Config> {
  // Loaded only where there is a file: YAML and schemas are half of the time until a restarted daemon forwards again.
  const { file, keys } =
    flags.config === undefined
      ? { file: {}, keys: undefined }
      : await (await import("./file.js")).loadConfigFile(flags.config, { ...flags, vteps: flags.vtep });
  const vteps = flags.vtep ?? [];
  const isMesh = hasMesh(flags, file);
  const metrics = flags.metrics ?? file.metrics ?? DEFAULT_METRICS;
  return {
    name: flags.name ?? file.name ?? hostname(),
    underlay: flags.underlay ?? file.underlay,
    vteps,
    vxlanPort: flags.vxlanPort ?? file.vxlanPort ?? DEFAULT_VXLAN_PORT,
    workers: flags.workers ?? file.workers ?? 1,
    socket: resolve(flags.socket ?? file.socket ?? DEFAULT_SOCKET),
    metrics: metrics === "off" ? undefined : listen(metrics),
    stateDir: flags.ephemeral ? undefined : resolve(flags.stateDir ?? file.stateDir ?? DEFAULT_STATE_DIR),
    logLevel: flags.logLevel ?? file.logLevel ?? "info",
    logFormat: flags.logFormat ?? file.logFormat ?? "pretty",
    limits: file.limits ?? {},
    mesh: isMesh ? meshConfig(flags, file, environment, beside(file, keys, flags.wireguardKeylog)) : undefined,
    wireguard: isMesh ? undefined : wireguard(file, keys, flags.wireguardKeylog),
    networks: (file.networks ?? []).map((n) => configured(n, vteps, isMesh || file.wireguard !== undefined)),
  };
}

function listen(text: string): Listen {
  const endpoint = splitEndpoint(text);
  if (endpoint?.port === undefined) throw new Error(`not an address to listen on: ${text}`);
  return { host: endpoint.address, port: endpoint.port };
}

function wireguard(
  { wireguard: section, limits }: ConfigFile,
  keys: Keys | undefined,
  keylog: string | undefined,
): WireguardSpec | undefined {
  if (!section?.address || !keys?.private) {
    if (keylog === undefined) return undefined;
    throw new WeftError(
      "bad_config",
      "--wireguard-keylog: there is no wireguard section in a configuration file (--config)",
    );
  }
  const { privateKeyFile: _, peers = [], address, ...rest } = section;
  return {
    ...rest,
    address,
    privateKey: keys.private,
    listenPort: rest.listenPort ?? DEFAULT_LISTEN_PORT,
    peers: peers.map((peer, i) => peerSpec(peer, keys.preshared[i])),
    peersMax: room(limits),
    ...(keylog === undefined ? {} : { keylog: resolve(keylog) }),
  };
}

/** Twice: a file that is read again may exchange all of them, and the old ones go after the new ones have come. */
function room(limits: ConfigFile["limits"]): number {
  return 2 * (limits?.peers ?? DEFAULT_PEERS);
}

/** What the wireguard section of a file adds to a mesh. */
function beside(
  { wireguard: section, limits }: ConfigFile,
  keys: Keys | undefined,
  keylog: string | undefined,
): MeshConfig["wireguard"] {
  return {
    address: section?.address ?? [],
    peers: (section?.peers ?? []).map((peer, i) => peerSpec(peer, keys?.preshared[i])),
    device: section?.device,
    rekeyAfterMessages: section?.rekeyAfterMessages,
    keylog: keylog === undefined ? undefined : resolve(keylog),
    peersMax: room(limits),
  };
}

function peerSpec(peer: NonNullable<WireguardSection["peers"]>[number], presharedKey: Buffer | undefined): PeerSpec {
  const { presharedKeyFile: _, ...rest } = peer;
  return { ...rest, ...(presharedKey ? { presharedKey } : {}) };
}

function configured(network: FileNetwork, defaultVteps: readonly string[], hasWireguard: boolean): ConfiguredNetwork {
  const { static: statics = [], routes = [], ...spec } = network;
  const encryption = spec.encryption ?? defaultEncryption(hasWireguard);
  return {
    spec: { ...spec, encryption, vteps: spec.vteps ?? defaultVteps },
    routes: [...statics.map(({ mac, vtep }) => ({ mac, via: vtep })), ...routes],
  };
}
