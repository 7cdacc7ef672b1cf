/**
 * What the data plane notices about its surroundings: VXLAN from hosts it does not know, the underlay going up and down,
 * WireGuard peers that come, move and stay away. Said in the log; the first two are kept for status and metrics.
 */

import type { DataplaneApi, DataplaneEvent } from "../dataplane/types.js";
import type { Log } from "../log/log.js";
import { refusedText } from "../refused.js";

/** A host whose VXLAN was dropped: mostly a VTEP that is missing on this side. */
export interface Refused {
  readonly source: string;
  readonly vni: number;
  /** Network that has the VNI; null when none has. */
  readonly network: string | null;
  readonly reason: string;
  /** When it was last told of: at most once a minute per source. */
  readonly at: Date;
}

/** Kept for status, the latest first. */
const REFUSED_MAX = 16;
/** Log lines about refused hosts in one minute: forged sources must not fill a disk. */
const LINES_PER_MINUTE = 8;

export interface WatchOptions {
  readonly now?: () => Date;
  /** Whether a member of the mesh has this tunnel address. */
  readonly isMember?: (address: string) => boolean;
}

export class Watch {
  readonly #dataplane: DataplaneApi;
  readonly #log: Log;
  readonly #now: () => Date;
  readonly #isMember: (address: string) => boolean;
  readonly #down = new Set<string>();
  /** WireGuard peers that have answered since they were last given up. */
  readonly #reached = new Set<string>();
  #refused: readonly Refused[] = [];
  #minute = 0;
  #lines = 0;

  constructor(
    dataplane: DataplaneApi,
    log: Log,
    { now = () => new Date(), isMember = () => false }: WatchOptions = {},
  ) {
    this.#dataplane = dataplane;
    this.#log = log;
    this.#now = now;
    this.#isMember = isMember;
    dataplane.on("event", (event) => this.#hear(event));
  }

  get refused(): readonly Refused[] {
    return this.#refused;
  }

  /** Whether the interface of an underlay address is up. */
  isUp(address: string): boolean {
    return !this.#down.has(address);
  }

  #hear(event: DataplaneEvent): void {
    if (event.type === "refused") this.#hearRefused(event);
    else if (event.type === "underlay") this.#hearUnderlay(event);
    else if (event.type === "handshake" || event.type === "unreachable" || event.type === "roamed")
      this.#hearPeer(event);
    else if (event.type === "stranger") {
      const { publicKey, endpoint } = event;
      const text =
        "handshake refused: this public key is no peer's here; is it missing in wireguard.peers, or another host's?";
      this.#log.warn({ component: "wireguard", publicKey, endpoint }, text);
    }
  }

  #hearRefused({ source, vni, network, reason }: DataplaneEvent & { readonly type: "refused" }): void {
    if (this.#isMember(source)) {
      // Its frames were faster than its records: nobody has to do anything.
      this.#log.debug(
        { component: "vteps", vtep: source, vni, reason },
        "VXLAN from a member that is not known here yet",
      );
      return;
    }
    const at = this.#now();
    const others = this.#refused.filter((r) => r.source !== source || r.vni !== vni);
    this.#refused = [{ source, vni, network, reason, at }, ...others].slice(0, REFUSED_MAX);
    const minute = Math.floor(at.getTime() / 60_000);
    if (minute !== this.#minute) [this.#minute, this.#lines] = [minute, 0];
    this.#lines += 1;
    if (this.#lines <= LINES_PER_MINUTE) {
      const fields = { component: "vteps", vtep: source, ...(network === null ? {} : { network }) };
      this.#log.warn(fields, refusedText({ source, vni, network }));
    }
  }

  #hearPeer(event: DataplaneEvent & { readonly type: "handshake" | "unreachable" | "roamed" }): void {
    const { peer } = event;
    const endpoint = this.#dataplane.wireguard()?.peers.find((p) => p.publicKey === peer)?.endpoint ?? null;
    const fields = { component: "wireguard", peer, endpoint };
    if (event.type === "handshake") {
      const isNews = !this.#reached.has(peer);
      this.#reached.add(peer);
      if (isNews) this.#log.info({ ...fields, role: event.role }, "session with peer");
      else this.#log.debug({ ...fields, role: event.role }, "new keys with peer");
    } else if (event.type === "roamed") this.#log.info({ ...fields, endpoint: event.endpoint }, "peer roamed");
    else {
      this.#reached.delete(peer);
      this.#log.warn(
        fields,
        "peer unreachable: no answer for 90 s; tried again when there is something to send. Is its weft up, is UDP let " +
          "through to the endpoint, and does it have our public key? Its own log and `weft status` name handshakes it refuses",
      );
    }
  }

  #hearUnderlay({ address, up, mtu }: DataplaneEvent & { readonly type: "underlay" }): void {
    const device = this.#dataplane.info.underlay.find((u) => u.address === address)?.interface ?? "its interface";
    const was = this.isUp(address);
    if (up) this.#down.delete(address);
    else this.#down.add(address);
    const fields = { component: "underlay", address, mtu };
    if (!up && was) this.#log.warn(fields, `underlay down: nothing passes between hosts until ${device} is up again`);
    else if (up && !was) this.#log.info(fields, `underlay up again, MTU ${mtu}`);
    else if (up) this.#log.info(fields, `the MTU of the underlay is ${mtu} now`);
  }
}
