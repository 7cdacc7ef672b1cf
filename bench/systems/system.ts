/** What carries traffic from a container on one side to a container on the other, under test. */
import { accessSync, constants } from "node:fs";
import { delimiter } from "node:path";
import { type Containers, type Device, type Hosts, PATH, type Side } from "../lab.js";
import type { WeftHosts } from "../weft-hosts.js";

/** A program a system runs, and the Debian package that has it. */
export interface Need {
  readonly program: string;
  readonly package: string;
}

/** What is known of a system before it runs. */
export interface Facts {
  /** Unique and short: names namespaces, and is what `--systems` takes. */
  readonly name: string;
  /** For tables. */
  readonly title: string;
  /** 2 carries Ethernet frames, 3 IP packets alone. */
  readonly layer: 2 | 3;
  /** "none" or the cipher's name. */
  readonly cipher: string;
  /** Octets of the longest inner IP packet. */
  readonly mtu: number;
  /**
   * `overlay`: host to host, over the underlay of all. `local`: both containers on one host; measured with offloads on
   * alone, and compared among themselves alone.
   */
  readonly scope: "overlay" | "local";
}

/** A system that carries traffic. */
export interface System extends Facts, Containers {
  /** Of the program as it runs; of the kernel where there is none. */
  readonly version: string;
  /** Where its frames cross from host to host, for offload switches and frame counts; not for `local` ones. */
  readonly wire?: (side: Side) => Device;
  /** Processes that carry its traffic, for CPU time; none where the kernel does it. */
  readonly pids: readonly number[];
  /** Why it cannot carry traffic any more; undefined while all its processes run. */
  failure(): string | undefined;
  /** Ends its processes and waits for their end. The namespaces stay. */
  stop(): Promise<void>;
  /** The daemons of weft, with their counters. */
  readonly weft?: WeftHosts;
}

/** A system that can be started. */
export interface Definition extends Facts {
  readonly needs: readonly Need[];
  /**
   * Starts it and waits until its containers may talk.
   * @param hosts the underlay of all; a system may make its own where it must take it over
   * @param nodeFlags for the daemons of weft, e.g. `["--perf-basic-prof"]`; what that writes to the working directory goes
   *   to /run
   * @throws Error with one line that says why
   */
  start(hosts: Hosts, nodeFlags?: readonly string[]): Promise<System>;
}

/** The facts of a definition, for the system made from it. */
export function factsOf({ name, title, layer, cipher, mtu, scope }: Facts): Facts {
  return { name, title, layer, cipher, mtu, scope };
}

/** For systems that have no process. */
export const kernelOnly = {
  pids: [],
  failure: (): undefined => undefined,
  stop: (): Promise<void> => Promise.resolve(),
};

function isInstalled(program: string): boolean {
  return PATH.split(delimiter).some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Debian packages that a system lacks here; empty when it can run. */
export function missingPackages(definition: Pick<Definition, "needs">): string[] {
  const missing = definition.needs.filter(({ program }) => !isInstalled(program));
  return [...new Set(missing.map((need) => need.package))];
}
