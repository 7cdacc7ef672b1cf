/**
 * Devices as `ip` would handle them: place, configure, delete, look at. All through rtnetlink, in the namespace given.
 */
import { closeSync, openSync } from "node:fs";
import { native } from "./addon.js";
import { formatAddress, formatMac, parseAddress, parseMac, parsePrefix } from "./addresses.js";
import { type Advice, attempt, createSystemError, ERRNO, hasCode } from "./errors.js";
import type { ConfigureDevice, Device, DeviceStats, PlaceDevice } from "./link.js";
import * as rt from "./rtnetlink.js";

/** IFA_F_NODAD: an address is used at once. */
const NODAD = 0x02;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_LINK = 253;
/** Any scope, when a route is removed. */
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;

const NO_DEVICE: Advice = { ENODEV: "there is no such device in that namespace" };

function invalid(what: string, text: string, wanted: string): never {
  throw createSystemError("EINVAL", ERRNO.EINVAL as number, "netlink", `${what}: ${text} is not ${wanted}`);
}

/**
 * Moves a device into a namespace and renames it there, in one message where the kernel can.
 *
 * The target name is looked up first: a kernel that moves and then cannot rename leaves the device in the container
 * under its old name. If that still happens, the device is fetched back.
 */
export function placeDevice({ name, netnsFd, ifname }: PlaceDevice): void {
  const what = `cannot move ${name} into the namespace as ${ifname}`;
  const advice: Advice = {
    ...NO_DEVICE,
    EEXIST: `the namespace has a device ${ifname} already: choose another name (--ifname) or remove that one`,
    EINVAL: `${ifname} is not a device name (1 to 15 octets without / : and blanks)`,
  };
  attempt(
    what,
    () => {
      rt.withRouteSocket(netnsFd, (target) => {
        rt.withRouteSocket(undefined, (own) => {
          if (exists(target, ifname)) {
            throw Object.assign(new Error("EEXIST"), { errno: -(ERRNO.EEXIST as number), syscall: "netlink" });
          }
          const { index } = rt.getLink(own, name);
          try {
            own.request(rt.RTM.NEWLINK, 0, rt.linkHead(index), [
              [rt.IFLA.NET_NS_FD, netnsFd],
              [rt.IFLA.IFNAME, ifname],
            ]);
          } catch (error) {
            if (!exists(own, name) && exists(target, name)) renameThere(target, name, ifname);
            else if (!exists(target, ifname)) twoSteps(own, target, index, name, netnsFd, ifname, error);
          }
        });
      });
    },
    advice,
  );
}

function exists(socket: rt.RouteSocket, name: string): boolean {
  try {
    rt.getLink(socket, name);
    return true;
  } catch (error) {
    if ((error as { errno?: number }).errno === -(ERRNO.ENODEV as number)) return false;
    throw error;
  }
}

/** The device has moved but kept its name: rename it, or fetch it back so that the failure leaves nothing behind. */
function renameThere(target: rt.RouteSocket, name: string, ifname: string): void {
  const { index } = rt.getLink(target, name);
  try {
    target.request(rt.RTM.NEWLINK, 0, rt.linkHead(index), [[rt.IFLA.IFNAME, ifname]]);
  } catch (error) {
    const home = openSync("/proc/thread-self/ns/net", "r");
    try {
      target.request(rt.RTM.NEWLINK, 0, rt.linkHead(index), [[rt.IFLA.NET_NS_FD, home]]);
    } finally {
      closeSync(home);
    }
    throw error;
  }
}

/** For kernels that refuse both attributes in one message. */
function twoSteps(
  own: rt.RouteSocket,
  target: rt.RouteSocket,
  index: number,
  name: string,
  netnsFd: number,
  ifname: string,
  refusal: unknown,
): void {
  const errno = -((refusal as { errno?: number }).errno ?? 0);
  if (errno !== ERRNO.EINVAL && errno !== ERRNO.EOPNOTSUPP) throw refusal;
  own.request(rt.RTM.NEWLINK, 0, rt.linkHead(index), [[rt.IFLA.NET_NS_FD, netnsFd]]);
  renameThere(target, name, ifname);
}

/** Sets MAC, MTU, queue length, super-frame size, addresses, state and routes of a device. Addresses that exist are kept. */
export function configureDevice(spec: ConfigureDevice): void {
  const { ifname } = spec;
  const about = `device ${ifname}`;
  attempt(`cannot open a netlink socket for ${about}`, () =>
    rt.withRouteSocket(spec.netnsFd, (socket) => {
      const { index } = attempt(`cannot find ${about}`, () => rt.getLink(socket, ifname), NO_DEVICE);
      if (spec.loopback) setUp(socket, rt.getLink(socket, "lo").index, "lo", true);

      const attributes: rt.Attribute[] = [];
      if (spec.mac !== undefined) {
        const mac = parseMac(spec.mac) ?? invalid(`cannot set the MAC of ${about}`, spec.mac, "a MAC address");
        attributes.push([rt.IFLA.ADDRESS, mac]);
      }
      if (spec.mtu !== undefined) attributes.push([rt.IFLA.MTU, spec.mtu]);
      if (spec.alias !== undefined) attributes.push([rt.IFLA.IFALIAS, Buffer.from(spec.alias, "latin1")]);
      if (spec.txQueueLen !== undefined) attributes.push([rt.IFLA.TXQLEN, spec.txQueueLen]);
      if (attributes.length > 0) {
        const set = [
          spec.mac && `MAC ${spec.mac}`,
          spec.mtu && `MTU ${spec.mtu}`,
          spec.alias && `alias ${spec.alias}`,
          spec.txQueueLen && `queue length ${spec.txQueueLen}`,
        ];
        attempt(
          `cannot set ${set.filter(Boolean).join(", ")} of ${about}`,
          () => socket.request(rt.RTM.NEWLINK, 0, rt.linkHead(index), attributes),
          { EOPNOTSUPP: "a TUN device has no MAC" },
        );
      }
      if (spec.gsoMaxSize !== undefined) setGsoMaxSize(socket, index, about, spec.gsoMaxSize);
      // Before the device comes up: with an address already there, IPv6 has nothing to wait for.
      for (const address of spec.addresses ?? []) addAddress(socket, index, about, address);
      if (spec.up !== undefined) setUp(socket, index, ifname, spec.up);
      for (const prefix of spec.removeRoutes ?? []) removeRoute(socket, index, about, prefix);
      for (const route of spec.routes ?? []) addRoute(socket, index, about, route, spec.keepRoutes ?? false);
    }),
  );
}

function setUp(socket: rt.RouteSocket, index: number, name: string, up: boolean): void {
  attempt(`cannot set device ${name} ${up ? "up" : "down"}`, () =>
    socket.request(rt.RTM.NEWLINK, 0, rt.linkHead(index, up ? rt.IFF_UP : 0, rt.IFF_UP)),
  );
}

/**
 * One message for each limit: since Linux 6.3 IPv4 has its own, and a kernel that knows one of them only, or neither,
 * still makes frames that the switch can cut.
 */
function setGsoMaxSize(socket: rt.RouteSocket, index: number, about: string, octets: number): void {
  for (const limit of [rt.IFLA.GSO_MAX_SIZE, rt.IFLA.GSO_IPV4_MAX_SIZE]) {
    attempt(`cannot set the super-frame size of ${about}`, () => {
      try {
        socket.request(rt.RTM.NEWLINK, 0, rt.linkHead(index), [[limit, octets]]);
      } catch (error) {
        const errno = -((error as { errno?: number }).errno ?? 0);
        if (errno !== ERRNO.EINVAL && errno !== ERRNO.EOPNOTSUPP && errno !== ERRNO.ERANGE) throw error;
      }
    });
  }
}

function addAddress(socket: rt.RouteSocket, index: number, about: string, text: string): void {
  const what = `cannot add address ${text} to ${about}`;
  const prefix = parsePrefix(text) ?? invalid(what, text, "an address with prefix length, like 10.8.0.1/24");
  const v6 = prefix.octets.length === 16;
  const head = Buffer.alloc(rt.HEAD.addr);
  head[0] = v6 ? rt.AF_INET6 : rt.AF_INET;
  head[1] = prefix.length;
  head.writeUInt32LE(index, 4);
  const attributes: rt.Attribute[] = [
    [rt.IFA.LOCAL, prefix.octets],
    [rt.IFA.ADDRESS, prefix.octets],
  ];
  if (v6) attributes.push([rt.IFA.FLAGS, NODAD]);
  attempt(what, () => socket.request(rt.RTM.NEWADDR, rt.NLM.CREATE | rt.NLM.REPLACE, head, attributes), {
    EOPNOTSUPP: "IPv6 is switched off in that namespace (sysctl net.ipv6.conf.all.disable_ipv6)",
    EACCES: "IPv6 is switched off on that device (sysctl net.ipv6.conf.*.disable_ipv6)",
  });
}

function addRoute(
  socket: rt.RouteSocket,
  index: number,
  about: string,
  route: { to: string; via?: string },
  keep: boolean,
): void {
  const what = `cannot add route ${route.to}${route.via ? ` via ${route.via}` : ""} to ${about}`;
  const via = route.via === undefined ? undefined : parseAddress(route.via);
  if (route.via !== undefined && !via) invalid(what, route.via, "an address");
  const everything = route.to === "default" ? { octets: new Uint8Array(via?.length ?? 4), length: 0 } : undefined;
  const to = everything ?? parsePrefix(route.to) ?? invalid(what, route.to, "a prefix, like 10.8.0.0/16, or `default`");
  if (via && via.length !== to.octets.length) invalid(what, route.via as string, "of the same family as the prefix");
  const head = Buffer.alloc(rt.HEAD.route);
  head[0] = to.octets.length === 16 ? rt.AF_INET6 : rt.AF_INET;
  head[1] = to.length;
  head[4] = RT_TABLE_MAIN;
  head[5] = RTPROT_STATIC;
  head[6] = via || to.octets.length === 16 ? 0 : RT_SCOPE_LINK;
  head[7] = RTN_UNICAST;
  const attributes: rt.Attribute[] = [[rt.RTA.OIF, index]];
  if (to.length > 0) attributes.push([rt.RTA.DST, masked(to.octets, to.length)]);
  if (via) attributes.push([rt.RTA.GATEWAY, via]);
  const flags = rt.NLM.CREATE | (keep ? rt.NLM.EXCL : rt.NLM.REPLACE);
  attempt(what, () => socket.request(rt.RTM.NEWROUTE, flags, head, attributes), {
    ENETUNREACH: "the gateway is not in a network of one of the device's addresses",
    EHOSTUNREACH: "the gateway is not in a network of one of the device's addresses",
    ENETDOWN: "the device is down",
    ...(head[0] === rt.AF_INET6
      ? { EACCES: "IPv6 is switched off on that device (sysctl net.ipv6.conf.*.disable_ipv6)" }
      : {}),
  });
}

function removeRoute(socket: rt.RouteSocket, index: number, about: string, prefix: string): void {
  const what = `cannot remove route ${prefix} from ${about}`;
  const to = parsePrefix(prefix) ?? invalid(what, prefix, "a prefix, like 10.8.0.0/16");
  const head = Buffer.alloc(rt.HEAD.route);
  head[0] = to.octets.length === 16 ? rt.AF_INET6 : rt.AF_INET;
  head[1] = to.length;
  head[4] = RT_TABLE_MAIN;
  head[6] = RT_SCOPE_NOWHERE;
  const attributes: rt.Attribute[] = [
    [rt.RTA.OIF, index],
    [rt.RTA.DST, masked(to.octets, to.length)],
  ];
  try {
    attempt(what, () => socket.request(rt.RTM.DELROUTE, 0, head, attributes));
  } catch (error) {
    if (!hasCode(error, "ESRCH")) throw error;
  }
}

/** The kernel refuses prefixes with host bits. */
function masked(octets: Uint8Array, length: number): Uint8Array {
  return octets.map((octet, i) => octet & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))));
}

/** Name of the TAP that has a MAC, or of the TUN that has it for its alias, likely `ifname`; undefined when there is none. */
export function findTap(mac: string, ifname: string, netnsFd?: number): string | undefined {
  const fits = (facts: rt.LinkFacts): boolean =>
    facts.kind === "tun" && (formatMac(facts.mac) === mac || facts.alias === mac);
  return attempt(`cannot look for the device with the MAC ${mac}`, () =>
    rt.withRouteSocket(netnsFd, (socket) => {
      if (exists(socket, ifname) && fits(rt.getLink(socket, ifname))) return ifname;
      return rt.allLinks(socket).find(fits)?.name;
    }),
  );
}

/** Deletes a device by name. ENODEV when there is none. */
export function deleteDevice(ifname: string, netnsFd?: number): void {
  attempt(
    `cannot delete device ${ifname}`,
    () =>
      rt.withRouteSocket(netnsFd, (socket) => {
        const { index } = rt.getLink(socket, ifname);
        socket.request(rt.RTM.DELLINK, 0, rt.linkHead(index));
      }),
    NO_DEVICE,
  );
}

/**
 * Facts of a device in whatever namespace it is now; undefined when it is gone.
 *
 * The namespace is entered by a descriptor that is closed again before this returns: a held one would keep a dead
 * container's namespace alive.
 */
export function deviceStats(device: Device, canFindNetns: boolean): DeviceStats | undefined {
  let netnsFd: number | undefined;
  try {
    const { name } = native().deviceDescribe(device.fd);
    netnsFd = canFindNetns ? native().deviceNetns(device.fd) : undefined;
    const facts = rt.withRouteSocket(netnsFd, (socket) => rt.getLink(socket, name));
    return {
      ifindex: facts.index,
      mac: formatMac(facts.mac),
      alias: facts.alias,
      mtu: facts.mtu,
      up: (facts.flags & rt.IFF_UP) !== 0,
      txDropped: facts.txDropped,
      rxDropped: facts.rxDropped,
    };
  } catch (error) {
    const errno = -((error as { errno?: number }).errno ?? 0);
    if (errno === ERRNO.EBADFD || errno === ERRNO.EBADF || errno === ERRNO.ENODEV) return undefined;
    return attempt(`cannot read the state of device ${device.name}`, () => {
      throw error;
    });
  } finally {
    if (netnsFd !== undefined) closeSync(netnsFd);
  }
}

/** Name and MTU of the interface that has an address; undefined when none has it. */
export function underlayInterface(address: string): { name: string; mtu: number; up: boolean } | undefined {
  const octets = parseAddress(address) ?? invalid("cannot look for the underlay interface", address, "an address");
  return attempt(`cannot look for the interface of ${address}`, () =>
    rt.withRouteSocket(undefined, (socket) => {
      for (const message of socket.request(rt.RTM.GETADDR, rt.NLM.DUMP, Buffer.alloc(rt.HEAD.addr))) {
        const local = message.attributes.get(rt.IFA.LOCAL) ?? message.attributes.get(rt.IFA.ADDRESS);
        if (!local || Buffer.compare(local, octets) !== 0) continue;
        const { name, mtu, flags } = rt.getLink(socket, message.head.readUInt32LE(4));
        return { name, mtu, up: (flags & rt.IFF_UP) !== 0 };
      }
      return undefined;
    }),
  );
}

/**
 * Source addresses the kernel would use towards the Internet: the default route of the lowest metric per family, its
 * preferred source, else the first global address of its interface. IPv4 first.
 */
export function defaultSources(): string[] {
  return attempt("cannot read the routing table", () =>
    rt.withRouteSocket(undefined, (socket) =>
      [rt.AF_INET, rt.AF_INET6].flatMap((family) => {
        const source = defaultSource(socket, family);
        return source ? [formatAddress(source)] : [];
      }),
    ),
  );
}

function defaultSource(socket: rt.RouteSocket, family: number): Uint8Array | undefined {
  const head = Buffer.alloc(rt.HEAD.route);
  head[0] = family;
  const defaults = socket
    .request(rt.RTM.GETROUTE, rt.NLM.DUMP, head)
    .filter((m) => m.head[0] === family && m.head[1] === 0 && m.head[7] === RTN_UNICAST && m.attributes.has(rt.RTA.OIF))
    .filter((m) => (m.attributes.get(rt.RTA.TABLE)?.readUInt32LE(0) ?? m.head[4]) === RT_TABLE_MAIN)
    .map((m) => ({ m, metric: m.attributes.get(rt.RTA.PRIORITY)?.readUInt32LE(0) ?? 0 }))
    .sort((a, b) => a.metric - b.metric);
  for (const { m } of defaults) {
    const preferred = m.attributes.get(rt.RTA.PREFSRC);
    if (preferred) return preferred;
    const index = m.attributes.get(rt.RTA.OIF)?.readUInt32LE(0);
    const global = socket
      .request(rt.RTM.GETADDR, rt.NLM.DUMP, Buffer.from([family, 0, 0, 0, 0, 0, 0, 0]))
      .find((a) => a.head[0] === family && a.head[3] === 0 && a.head.readUInt32LE(4) === index);
    const address = global?.attributes.get(rt.IFA.LOCAL) ?? global?.attributes.get(rt.IFA.ADDRESS);
    if (address) return address;
  }
  return undefined;
}
