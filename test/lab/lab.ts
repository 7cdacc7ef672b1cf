/**
 * The lab: hosts and containers as network namespaces, joined by veth, removed at the end of the test.
 *
 *   const lab = await Lab.open(t);
 *   const [left, right] = await lab.hosts("left", "right");     // joined, 192.0.2.1 and .2, 2001:db8::1 and ::2
 *   const weft = await Weft.up(left, { vteps: [right.v4] });
 *   const c1 = await lab.container("c1");
 *   await weft.attach(c1, { ip: ["10.8.0.1/24"] });
 *   const c2 = await kernelVxlan(lab, right, { peers: [left.v4], ip: ["10.8.0.2/24"] });
 *   t.equal((await c1.ping("10.8.0.2")).received, 3);
 *
 * Works only inside the private namespaces that `npm test` makes, so that nothing can be left on the machine.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { Job } from "./job.js";
import { Namespace } from "./namespace.js";

/** A namespace with a leg in the underlay. */
export class Host extends Namespace {
  /** The underlay device. */
  readonly device = "under0";
  readonly v4: string;
  readonly v6: string;

  constructor(label: string, name: string, register: (job: Job) => void, v4: string, v6: string) {
    super(label, name, register);
    this.v4 = v4;
    this.v6 = v6;
  }

  /** Underlay address of a family. */
  address(family: 4 | 6): string {
    return family === 4 ? this.v4 : this.v6;
  }

  /**
   * Offloads of the underlay device. Off means every datagram has the size it would have on a wire; on, the peer's
   * kernel hands over up to 64 KB as one datagram with an unfinished checksum.
   */
  async offloads(on: boolean): Promise<void> {
    const word = on ? "on" : "off";
    await this.run(`ethtool -K ${this.device} tx ${word} tso ${word} gso ${word} gro ${word}`);
  }
}

let labs = 0;

export class Lab {
  /** For state directories, sockets and captures; gone with the lab. */
  readonly dir = mkdtempSync(join(tmpdir(), "weft-lab-"));
  readonly #prefix = `${process.pid}-${labs++}`;
  readonly #names: string[] = [];
  readonly #jobs: Job[] = [];

  /** Makes a lab that ends with the test. */
  static async open(t: Test): Promise<Lab> {
    if (process.env["WEFT_TEST_PRIVATE"] !== "1") {
      throw new Error(
        "Tests on real devices run through `npm test -- FILE`, which gives them namespaces of their own.",
      );
    }
    const lab = new Lab();
    t.teardown(() => lab.close());
    return lab;
  }

  /** Runs a command outside of every namespace of the lab. */
  async run(command: string): Promise<string> {
    const job = new Job(command.split(" "));
    this.#jobs.push(job);
    job.finish();
    return (await job.done(30_000)).join("\n");
  }

  /**
   * Hosts in one underlay: two are joined by a veth pair, more by a bridge. Each has an IPv4 and an IPv6 address and,
   * with `defaultRoute`, a default route into the underlay.
   */
  async hosts<Labels extends string[]>(...labels: Labels): Promise<{ [K in keyof Labels]: Host }> {
    return await this.hostsOn(labels, async (hosts) => {
      const [first, second] = hosts;
      if (hosts.length === 2 && first !== undefined && second !== undefined) {
        await this.run(`ip link add under0 netns ${first.name} type veth peer name under0 netns ${second.name}`);
        return;
      }
      const wire = await this.container("wire");
      // No snooping and no forward delay: a plain cable between all.
      await wire.run("ip link add br0 type bridge mcast_snooping 0 stp_state 0");
      await wire.run("ip link set br0 up");
      for (const [i, host] of hosts.entries()) {
        await this.run(`ip link add under0 netns ${host.name} type veth peer name leg${i} netns ${wire.name}`);
        await wire.run(`ip link set leg${i} master br0 up`);
      }
    });
  }

  /** Hosts whose underlay devices `under0` are made by `join`. */
  async hostsOn<Labels extends string[]>(
    labels: Labels,
    join: (hosts: readonly Host[]) => Promise<void>,
  ): Promise<{ [K in keyof Labels]: Host }> {
    const hosts: Host[] = [];
    for (const [i, label] of labels.entries()) {
      const name = await this.#namespace(label);
      hosts.push(new Host(label, name, this.#register, `192.0.2.${i + 1}`, `2001:db8::${i + 1}`));
    }
    await join(hosts);
    for (const host of hosts) {
      await host.run(`ip addr add ${host.v4}/24 dev under0`);
      await host.run(`ip addr add ${host.v6}/64 dev under0 nodad`);
      await host.run("ip link set under0 up");
    }
    return hosts as { [K in keyof Labels]: Host };
  }

  /**
   * A host behind a router that masquerades: nothing comes in that was not asked for, and what nobody uses is forgotten after 20 s.
   * It has IPv4 alone.
   * @param network number of the network in there, of this lab's own
   * @param ports what the router does with source ports: keep them while they are free, or another one for each destination
   */
  async behind(label: string, router: Host, network: number, ports: "kept" | "random"): Promise<Host> {
    const name = await this.#namespace(label);
    const host = new Host(label, name, this.#register, `10.99.${network}.2`, "::");
    const gateway = `10.99.${network}.1`;
    await this.run(`ip link add under0 netns ${name} type veth peer name inside0 netns ${router.name}`);
    await host.run(`ip addr add ${host.v4}/24 dev under0`);
    await host.run("ip link set under0 up");
    await router.run(`ip addr add ${gateway}/24 dev inside0`);
    await router.run("ip link set inside0 up");
    await host.run(`ip route add default via ${gateway}`);
    const masquerade = ports === "random" ? "masquerade fully-random" : "masquerade";
    await router.run([
      "nft",
      // What comes unasked is dropped before it leaves a trace: a trace of it would take the port from the host inside.
      `table ip nat { chain out { type nat hook postrouting priority srcnat; oifname under0 ${masquerade}; }; };
       table ip guard { chain forward { type filter hook forward priority filter; policy drop;
         ct state established,related accept; iifname inside0 accept; };
         chain input { type filter hook input priority filter; iifname under0 ct state new drop; }; }`,
    ]);
    const settings = ["net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_udp_timeout=20"];
    await router.run(["sysctl", "-qw", ...settings, "net.netfilter.nf_conntrack_udp_timeout_stream=20"]);
    return host;
  }

  /** A namespace with nothing but lo. */
  async container(label: string): Promise<Namespace> {
    return new Namespace(label, await this.#namespace(label), this.#register);
  }

  /** Removes a namespace now, with everything in it. */
  async remove(namespace: Namespace): Promise<void> {
    await this.run(`ip netns del ${namespace.name}`);
    this.#names.splice(this.#names.indexOf(namespace.name), 1);
  }

  /** A path for a file of this lab. */
  file(name: string): string {
    return join(this.dir, name);
  }

  /** Kills every process, removes every namespace and file. */
  async close(): Promise<void> {
    await Promise.all(this.#jobs.map((job) => job.kill("SIGKILL")));
    for (const name of this.#names.splice(0)) await this.run(`ip netns del ${name}`);
    rmSync(this.dir, { recursive: true, force: true });
  }

  readonly #register = (job: Job): void => {
    this.#jobs.push(job);
  };

  async #namespace(label: string): Promise<string> {
    const first = `${label}-${this.#prefix}`;
    const name = this.#names.includes(first) ? `${first}-${this.#names.length}` : first;
    await this.run(`ip netns add ${name}`);
    this.#names.push(name);
    await this.run(`ip -n ${name} link set lo up`);
    return name;
  }
}
