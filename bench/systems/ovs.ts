/** Open vSwitch with its userspace datapath, which terminates VXLAN itself: the underlay device is its own. */
import { existsSync, mkdirSync } from "node:fs";
import {
  ethtool,
  INNER_MTU,
  joinVeth,
  makeContainers,
  makeHosts,
  other,
  raise,
  run,
  SIDES,
  UNDERLAY_MTU,
  VNI,
} from "../lab.js";
import { type Program, startProgram, together, until, versionOf } from "./program.js";
import { type Definition, factsOf } from "./system.js";

export const ovs: Definition = {
  ...{ name: "ovs", title: "Open vSwitch, userspace", layer: 2, cipher: "none", mtu: INNER_MTU, scope: "overlay" },
  needs: [
    { program: "ovs-vswitchd", package: "openvswitch-switch" },
    { program: "ovsdb-server", package: "openvswitch-switch" },
  ],
  async start() {
    const containers = makeContainers("ovs");
    const hosts = makeHosts("ovs-host", 6);
    const programs: Program[] = [];
    for (const side of SIDES) {
      const netns = hosts.netns(side);
      const folder = `/run/bench-ovs-${side}`;
      mkdirSync(folder, { mode: 0o700 });
      const [data, socket] = [`${folder}/conf.db`, `${folder}/db.sock`];
      const env = { OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder, OVS_SYSCONFDIR: folder };
      run("ovsdb-tool", "create", data);
      programs.push(startProgram(netns, ["ovsdb-server", data, `--remote=punix:${socket}`, "-vconsole:warn"], env));
      await until("ovsdb-server", () => existsSync(socket), programs);
      programs.push(startProgram(netns, ["ovs-vswitchd", `unix:${socket}`, "-vconsole:warn"], env));
      const vsctl = (...words: string[]): string => run("ovs-vsctl", `--db=unix:${socket}`, "--timeout=10", ...words);
      // The containers' ends.
      const [inside, outside] = [
        { netns: containers.container(side), device: "eth0" },
        { netns, device: "port" },
      ];
      joinVeth(inside, outside);
      // It sends on what it gets: checksums must be there, and segments cut. Its own TSO is not for tunnels.
      ethtool(inside, "-K", "tx", "off");
      raise(inside, INNER_MTU, containers.address(side));
      raise(outside, INNER_MTU);
      // The underlay: its device becomes a port of a bridge, its address moves to the bridge's own device.
      const under = hosts.wire(side);
      run("ip", "-n", netns, "address", "flush", "dev", under.device);
      vsctl("add-br", "br-under", "--", "set", "bridge", "br-under", "datapath_type=netdev", "fail-mode=standalone");
      vsctl("add-port", "br-under", under.device);
      vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev", "fail-mode=standalone");
      vsctl("add-port", "br-int", "port");
      const options = [`options:remote_ip=${hosts.address(other(side))}`, `options:key=${VNI}`];
      vsctl("add-port", "br-int", "vxlan0", "--", "set", "interface", "vxlan0", "type=vxlan", ...options);
      await until("br-under", () => run("ip", "-n", netns, "link", "show", "br-under") !== "", programs);
      raise({ netns, device: "br-under" }, UNDERLAY_MTU, hosts.address(side));
    }
    const version = versionOf("ovs-vswitchd", "--version");
    return { ...factsOf(ovs), version, ...containers, wire: hosts.wire, ...together(programs) };
  },
};
