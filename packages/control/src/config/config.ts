/** What a daemon runs with: flags over the file over defaults. */
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { NetworkSpec, Route } from "../dataplane/types.js";
import {
  DEFAULT_METRICS,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
  DEFAULT_VXLAN_PORT,
  type LogFormat,
  type LogLevel,
  type UpFlags,
} from "./defaults.js";
import { splitEndpoint } from "./formats.js";
import type { ConfigFile, FileNetwork } from "./schema.js";

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
  readonly networks: readonly ConfiguredNetwork[];
}

/**
 * @throws WeftError bad_config (rejects) when the file cannot be used. Flags must have been checked by the caller.
 */
export async function resolveConfig(flags: UpFlags): Promise<Config> {
  // Loaded only where there is a file: YAML and schemas are half of the time until a restarted daemon forwards again.
  const file = flags.config === undefined ? {} : (await import("./file.js")).loadConfigFile(flags.config, flags);
  const vteps = flags.vtep ?? [];
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
    networks: (file.networks ?? []).map((n) => configured(n, vteps)),
  };
}

function listen(text: string): Listen {
  const endpoint = splitEndpoint(text);
  if (endpoint?.port === undefined) throw new Error(`not an address to listen on: ${text}`);
  return { host: endpoint.address, port: endpoint.port };
}

function configured(network: FileNetwork, defaultVteps: readonly string[]): ConfiguredNetwork {
  // encryption can only be "none" here: the schema refuses the rest.
  const { static: statics = [], routes = [], encryption: _, ...spec } = network;
  return {
    spec: { ...spec, vteps: spec.vteps ?? defaultVteps },
    routes: [...statics.map(({ mac, vtep }) => ({ mac, via: vtep })), ...routes],
  };
}
