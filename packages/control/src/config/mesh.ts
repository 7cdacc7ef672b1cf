/**
 * Whether the daemon has a mesh, and what it is told about it: flags over the file over defaults.
 *
 * It has one unless it is told where its VTEPs are: by `--vtep`, by a file with networks or a wireguard section and no mesh
 * section, or by `--no-mesh`.
 */
import { dirname, resolve } from "node:path";
import type { PeerSpec } from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { DEFAULT_LISTEN_PORT, DEFAULT_MESH_PORT, DEFAULT_VXLAN_PORT, type UpFlags } from "./defaults.js";
import { hostPort, isFamilyTwice, splitEndpoint, splitHost } from "./formats.js";
import type { ConfigFile } from "./schema.js";

export interface MeshConfig {
  /** `HOST:PORT` to dial; empty: found a network, unless the state directory knows one. */
  readonly join: readonly string[];
  /** Where the token is, should it be needed: a member needs none. See readToken(). */
  readonly token: TokenSource | undefined;
  /** What others are told to dial; `port` is that of control links, WireGuard is at `wireguardPort`. Empty: what is found. */
  readonly advertise: readonly { readonly address: string; readonly port: number }[];
  /** TCP port of control links. */
  readonly port: number;
  /** UDP port of WireGuard. */
  readonly wireguardPort: number;
  /** Whether to dial members that nobody has named here. */
  readonly discovery: boolean;
  /** Prefixes of the default network, for who founds the mesh; undefined: 10.32.0.0/12 and a unique local /64. */
  readonly cidr: readonly string[] | undefined;
  /** Beside the mesh: what the wireguard section of the file says. */
  readonly wireguard: StaticWireguard;
}

export type TokenSource = { readonly text: string } | { readonly file: string };

/** WireGuard peers that are no members, such as a kernel. */
export interface StaticWireguard {
  /** Addresses of this host inside the tunnel beside the one the mesh gives. */
  readonly address: readonly string[];
  readonly peers: readonly PeerSpec[];
  readonly device: string | undefined;
  readonly rekeyAfterMessages: number | undefined;
  /** File that keys of sessions are appended to. */
  readonly keylog: string | undefined;
  /** Most peers, members included. */
  readonly peersMax: number;
}

/** @throws WeftError bad_config when flags and file contradict each other; with every problem */
export function hasMesh(flags: UpFlags, file: ConfigFile): boolean {
  const asked = askedFor(flags);
  const why = staticBecause(flags, file);
  if (why === undefined) return true;
  const problems = asked.map((flag) => `${flag}: allowed with a mesh only`);
  if (flags.mesh !== false && file.mesh !== undefined)
    problems.push(`--vtep: the configuration file has a mesh section; list VTEPs in its networks, or give --no-mesh`);
  if (problems.length > 0)
    throw new WeftError(
      "bad_config",
      `there is no mesh because of ${why}, and something else asks for one: leave either out`,
      problems,
    );
  return false;
}

/** Flags that say something about the mesh. */
function askedFor(flags: UpFlags): string[] {
  const given: readonly [flag: string, isGiven: boolean][] = [
    ["--join", flags.join !== undefined],
    ["--token", flags.token !== undefined],
    ["--token-file", flags.tokenFile !== undefined],
    ["--advertise", flags.advertise !== undefined],
    ["--port", flags.port !== undefined],
    ["--wireguard-port", flags.wireguardPort !== undefined],
    ["--cidr", flags.cidr !== undefined],
    ["--no-discovery", flags.discovery === false],
  ];
  return given.filter(([, isGiven]) => isGiven).map(([flag]) => flag);
}

function staticBecause(flags: UpFlags, file: ConfigFile): string | undefined {
  if (flags.mesh === false) return "--no-mesh";
  if (flags.vtep !== undefined) return "--vtep";
  if (file.mesh !== undefined) return undefined;
  if (file.wireguard !== undefined) return "a wireguard section without a mesh section in the configuration file";
  if (file.networks !== undefined) return "networks without a mesh section in the configuration file";
  return undefined;
}

/** @throws WeftError bad_config with every problem */
export function meshConfig(
  flags: UpFlags,
  file: ConfigFile,
  environment: NodeJS.ProcessEnv,
  wireguard: StaticWireguard,
): MeshConfig {
  const section = file.mesh ?? {};
  const problems: string[] = [];
  const join = (flags.join ?? section.join ?? []).map((text) => {
    const { host, port = DEFAULT_MESH_PORT } = splitHost(text) ?? { host: text };
    return hostPort(host, port);
  });
  const port = flags.port ?? section.port ?? DEFAULT_MESH_PORT;
  const advertise = (flags.advertise ?? section.advertise ?? []).map((text) => {
    const found = splitEndpoint(text);
    return { address: found?.address ?? text, port: found?.port ?? port };
  });
  const wireguardPort = flags.wireguardPort ?? section.wireguardPort ?? DEFAULT_LISTEN_PORT;
  const cidr = flags.cidr ?? section.cidr;
  if (flags.token !== undefined && flags.tokenFile !== undefined)
    problems.push("--token-file: --token is given too; allowed: one of the two");
  const token = tokenSource(flags, section.tokenFile, environment);
  const isTokenGiven = (flags.token ?? flags.tokenFile ?? section.tokenFile) !== undefined;
  if (isTokenGiven && join.length === 0)
    problems.push("the token: there is no host to join; allowed: --join HOST beside it, or mesh.join");
  if (wireguardPort === (flags.vxlanPort ?? file.vxlanPort ?? DEFAULT_VXLAN_PORT))
    problems.push(`--wireguard-port: found ${wireguardPort}, which is the port of VXLAN; allowed: another UDP port`);
  if (cidr !== undefined && cidr.length > 2) problems.push(`--cidr: found ${cidr.length}; allowed: one per family`);
  else if (isFamilyTwice(cidr ?? []))
    problems.push(`--cidr: found ${cidr?.[1]}, a second prefix of one family; allowed: one per family`);
  if (problems.length > 0) throw new WeftError("bad_config", "the mesh cannot be set up", problems);
  return {
    join: [...new Set(join)],
    token,
    advertise,
    port,
    wireguardPort,
    discovery: flags.discovery !== false && (section.discovery ?? true),
    cidr,
    wireguard,
  };
}

/** The nearest to the command line that there is. */
function tokenSource(
  flags: UpFlags,
  ofFile: string | undefined,
  environment: NodeJS.ProcessEnv,
): TokenSource | undefined {
  if (flags.token !== undefined) return { text: flags.token };
  if (flags.tokenFile !== undefined) return { file: resolve(flags.tokenFile) };
  if (environment.WEFT_TOKEN) return { text: environment.WEFT_TOKEN };
  if (ofFile !== undefined) return { file: resolve(dirname(flags.config ?? ""), ofFile) };
  return undefined;
}
