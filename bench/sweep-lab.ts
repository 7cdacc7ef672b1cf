/** Several pairs of weft hosts at once, each with one thing different, so that they can take turns round by round. */
import { rmSync, writeFileSync } from "node:fs";
import {
  type Containers,
  type Hosts,
  INNER_MTU,
  makeContainers,
  makeHosts,
  other,
  run,
  SIDES,
  type Side,
  setting,
  VNI,
} from "./lab.js";
import type { System } from "./systems/system.js";
import { attachCrowd, startWeft, type WeftHosts } from "./weft-hosts.js";

export interface PairPlan {
  /** Short and unique: names the hosts, `NAME-h-a`, and the containers, `NAME-a`. */
  readonly name: string;
  readonly workers?: number;
  /** Ports of each daemon, at least 1. */
  readonly ports?: number;
  /** VTEPs of each daemon, 1..200: the other host and addresses there that take everything in and answer nothing. */
  readonly vteps?: number;
  /** Learned MACs there is room for, in the daemon and behind one port. */
  readonly macs?: number;
}

/** Two hosts with weft and a container on each. */
export interface Pair extends System {
  readonly weft: WeftHosts;
  readonly hosts: Hosts;
  /** Name of a side's daemon, for its counters. */
  daemon(side: Side): string;
}

let lastNet = 100;

/** Addresses behind the other host that drop what is for them. */
function silentVteps(hosts: Hosts, count: number): string[] {
  for (const side of count > 0 ? SIDES : []) {
    run("ip", "-n", hosts.netns(side), "route", "add", "10.8.0.0/24", "via", hosts.address(other(side)));
    setting(hosts.netns(side), "net/ipv4/ip_forward", "0");
  }
  return Array.from({ length: count }, (_, i) => `10.8.0.${i + 1}`);
}

/** A configuration file with what flags cannot say: no limit on floods, room for MACs. */
function writeConfig({ name, macs }: PairPlan): string {
  const file = `/run/${name}.yaml`;
  const perPort = macs === undefined ? "" : `, macsPerPort: ${macs}`;
  const limits = macs === undefined ? "" : `limits: {fdb: ${macs * 4}}\n`;
  writeFileSync(file, `${limits}networks:\n  - {name: vni-${VNI}, vni: ${VNI}, bumRate: 0${perPort}}\n`);
  return file;
}

export async function startPair(plan: PairPlan): Promise<Pair> {
  const { name, workers = 1, ports = 1, vteps = 1 } = plan;
  const hosts = makeHosts(`${name}-h`, ++lastNet);
  const containers: Containers = makeContainers(name);
  const silent = silentVteps(hosts, vteps - 1);
  const config = writeConfig(plan);
  const daemon = (side: Side): string => hosts.netns(side);
  const weft = await startWeft(
    SIDES.map((side) => ({
      name: daemon(side),
      netns: hosts.netns(side),
      underlay: hosts.address(side),
      vteps: [hosts.address(other(side)), ...silent],
      flags: ["--config", config, "--workers", String(workers), "--metrics", "off"],
    })),
  );
  rmSync(config);
  for (const side of SIDES) {
    await weft.attach(daemon(side), [{ netns: containers.container(side), ip: `${containers.address(side)}/24` }]);
    if (ports > 1) await attachCrowd(weft, daemon(side), ports - 1);
  }
  return {
    ...{ name, title: name, layer: 2, cipher: "none", mtu: INNER_MTU, scope: "overlay", version: "" },
    ...containers,
    wire: hosts.wire,
    hosts,
    pids: weft.pids,
    failure: weft.failure,
    stop: weft.stop,
    weft,
    daemon,
  };
}
