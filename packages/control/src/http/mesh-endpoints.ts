/** Operations of the API about members, tokens, networks, addresses, names and the outside. */

import { DEFAULT_MESH_PORT } from "../config/defaults.js";
import { hostPort, isDnsName, isFamilyTwice, isVtep, splitHost } from "../config/formats.js";
import { WeftError } from "../errors.js";
import type { ContainerInfo, MemberInfo, MeshInfo } from "../mesh-answers.js";
import type { MeshControl } from "../router/mesh-control.js";
import { Type } from "../typebox.js";
import { type Endpoint, endpoint } from "./endpoint.js";
import * as schemas from "./mesh-schemas.js";

const Removed = Type.Object({ removed: Type.Boolean() });

/** @param mesh undefined: every operation answers that there is none. */
export function meshEndpoints(mesh: MeshControl | undefined): Endpoint[] {
  const own = (): MeshControl => requireMesh(mesh);
  return [
    endpoint({
      method: "get",
      path: "/v1/mesh",
      summary: "This node, the members of its network with their links, and its own control links",
      answer: schemas.Mesh,
      run: () => own().info(),
    }),
    endpoint({
      method: "get",
      path: "/v1/paths",
      summary: "How every other member is reached by data",
      answer: Type.Array(schemas.Path),
      run: () => own().paths(),
    }),
    ...tokenEndpoints(own),
    endpoint({
      method: "post",
      path: "/v1/connect",
      summary: "Dial a host from now on, also after a restart",
      body: schemas.HostBody,
      answer: Type.Object({ address: Type.String() }),
      run: async ({ body }) => {
        const { host, port = DEFAULT_MESH_PORT } = splitHost(body.host) ?? { host: body.host };
        const address = hostPort(host, port);
        await own().connect(address);
        return { address };
      },
    }),
    endpoint({
      method: "post",
      path: "/v1/forget",
      summary: "No longer dial a host that was named; without a port, every port of it",
      body: schemas.HostBody,
      answer: Type.Object({ forgotten: Type.Array(Type.String()) }),
      run: async ({ body }) => ({ forgotten: await own().forget(body.host) }),
    }),
    endpoint({
      method: "delete",
      path: "/v1/members/{id}",
      summary: "Remove a member for ever, by id, name, or beginning of its id",
      description:
        "Its addresses go to others; tokens that it may know are retired and a new one is made. A member that cannot be reached is removed with force alone.",
      query: { force: "true: it does not run, or may be cut off" },
      answer: Type.Object({ id: Type.String(), name: Type.String() }),
      run: async ({ params, query }) => {
        const force = flag("force", query.force);
        const { id, name } = memberOf(own().info(), params.id ?? "");
        await own().removeMember(id, { force });
        return { id, name };
      },
    }),
    endpoint({
      method: "post",
      path: "/v1/leave",
      summary: "Leave the network for good: give addresses away, forget the identity",
      answer: schemas.Departure,
      run: () => own().leave(),
    }),
    ...networkEndpoints(own),
    endpoint({
      method: "get",
      path: "/v1/containers",
      summary: "Containers of all members, the same answer on each",
      answer: Type.Array(schemas.Container),
      run: () => sharedContainers(own().containers()),
    }),
    endpoint({
      method: "get",
      path: "/v1/links",
      summary: "Containers that have talked with one another",
      answer: Type.Array(schemas.Link),
      run: () => own().links(),
    }),
    endpoint({
      method: "get",
      path: "/v1/ipam",
      summary: "Addresses of each network, and who has them",
      answer: Type.Array(schemas.Ipam),
      run: () => own().ipam(),
    }),
    ...dnsEndpoints(own),
    ...outsideEndpoints(own),
  ];
}

/** @throws WeftError no_mesh */
export function requireMesh(mesh: MeshControl | undefined): MeshControl {
  if (mesh) return mesh;
  throw new WeftError("no_mesh", "there is no mesh: weft runs with a static configuration");
}

function tokenEndpoints(own: () => MeshControl): Endpoint[] {
  return [
    endpoint({
      method: "get",
      path: "/v1/token",
      summary: "The token that a newcomer joins with; a secret",
      answer: schemas.JoinToken,
      run: () => own().token(),
    }),
    endpoint({
      method: "get",
      path: "/v1/tokens",
      summary: "All tokens without their secrets",
      answer: Type.Array(schemas.Token),
      run: () => own().tokens(),
    }),
    endpoint({
      method: "post",
      path: "/v1/tokens",
      summary: "Make a new token; earlier ones stay valid until they are retired",
      answer: schemas.JoinToken,
      status: 201,
      run: () => own().rotateToken(),
    }),
    endpoint({
      method: "delete",
      path: "/v1/tokens/{id}",
      summary: "Retire a token for ever; members stay",
      answer: Type.Object({ retired: Type.String() }),
      run: async ({ params }) => {
        const id = params.id ?? "";
        await own().retireToken(id);
        return { retired: id };
      },
    }),
  ];
}

function networkEndpoints(own: () => MeshControl): Endpoint[] {
  return [
    endpoint({
      method: "get",
      path: "/v1/mesh/networks",
      summary: "Networks that all members share",
      answer: Type.Array(schemas.MeshNetwork),
      run: () => own().networks(),
    }),
    endpoint({
      method: "post",
      path: "/v1/mesh/networks",
      summary: "Make a network on all members",
      body: schemas.NewNetworkBody,
      answer: schemas.MeshNetwork,
      status: 201,
      run: ({ body }) => {
        if (isFamilyTwice(body.cidr ?? []))
          throw new WeftError("invalid_input", `cidr[1]: found ${body.cidr?.[1]}; allowed: one prefix per family`);
        return own().createNetwork(body);
      },
    }),
    endpoint({
      method: "delete",
      path: "/v1/mesh/networks/{name}",
      summary: "Remove a network that has no containers on any member",
      answer: Removed,
      run: async ({ params }) => ({ removed: await own().removeNetwork(params.name ?? "") }),
    }),
    endpoint({
      method: "post",
      path: "/v1/mesh/networks/{name}/vteps",
      summary: "Let a VTEP outside of the mesh into a network, in clear",
      body: schemas.VtepBody,
      answer: schemas.MeshNetwork,
      run: ({ params, body }) => own().addVtep(params.name ?? "", body.vtep),
    }),
    endpoint({
      method: "delete",
      path: "/v1/mesh/networks/{name}/vteps",
      summary: "Take a VTEP out again",
      query: { vtep: "ADDR or ADDR:PORT" },
      answer: schemas.MeshNetwork,
      run: ({ params, query }) => {
        const { vtep = "" } = query;
        if (!isVtep(vtep)) throw new WeftError("invalid_input", "which VTEP? Give ?vtep=ADDR or ?vtep=ADDR:PORT");
        return own().removeVtep(params.name ?? "", vtep);
      },
    }),
  ];
}

function dnsEndpoints(own: () => MeshControl): Endpoint[] {
  return [
    endpoint({
      method: "get",
      path: "/v1/dns",
      summary: "Names and where they lead",
      answer: schemas.Dns,
      run: () => own().dns(),
    }),
    endpoint({
      method: "post",
      path: "/v1/dns",
      summary: "Add a name, or put other addresses in place of its present ones",
      body: schemas.DnsBody,
      answer: Type.Object({ added: Type.String() }),
      status: 201,
      run: async ({ body: { ips = [], srv = [], ...body } }) => {
        if (ips.length + srv.length === 0)
          throw new WeftError("invalid_input", "where does the name lead? Give addresses (ips) or services (srv)");
        await own().addDns({ ...body, ips, srv });
        return { added: body.name };
      },
    }),
    endpoint({
      method: "delete",
      path: "/v1/dns/{name}",
      summary: "Remove a name that was added on this node; nothing happens where there is none",
      query: { network: "the one that it was added for; default: all" },
      answer: Removed,
      run: async ({ params, query }) => {
        const { name = "" } = params;
        if (!isDnsName(name)) throw new WeftError("invalid_input", "the name: allowed: labels of a-z 0-9 - _ and dots");
        return { removed: await own().removeDns(name, query.network) };
      },
    }),
  ];
}

function outsideEndpoints(own: () => MeshControl): Endpoint[] {
  return [
    endpoint({
      method: "get",
      path: "/v1/expose",
      summary: "What of this host is open to containers, and of containers to the outside",
      answer: schemas.Exposure,
      run: () => own().exposure(),
    }),
    endpoint({
      method: "post",
      path: "/v1/expose",
      summary: "Give this host a port in a network, and its containers a way to the outside",
      body: schemas.ExposeBody,
      answer: schemas.Exposure,
      run: ({ body }) => own().expose(body.network),
    }),
    endpoint({
      method: "post",
      path: "/v1/hide",
      summary: "Take that port away, and the rules with it",
      body: schemas.ExposeBody,
      answer: schemas.Exposure,
      run: ({ body }) => own().hide(body.network),
    }),
  ];
}

function flag(name: string, value: string | undefined): boolean {
  if (value === undefined || value === "false") return false;
  if (value === "true") return true;
  throw new WeftError("invalid_input", `${name}: found ${JSON.stringify(value)}; allowed: true or false`);
}

/** Shortest beginning of an id that names a member. */
const PREFIX_MIN = 4;

/**
 * @param text id, name, or beginning of an id
 * @throws WeftError not_found; conflict when it is several members
 */
export function memberOf({ members }: Pick<MeshInfo, "members">, text: string): MemberInfo {
  const exact = members.find((m) => m.id === text);
  if (exact) return exact;
  const named = members.filter((m) => m.name === text);
  const found = named.length > 0 ? named : members.filter((m) => text.length >= PREFIX_MIN && m.id.startsWith(text));
  const [first, ...more] = found;
  if (!first) {
    const known = members.map((m) => m.name || m.id).join(", ");
    throw new WeftError("not_found", `there is no member ${text} (known: ${known})`);
  }
  if (more.length > 0) {
    const ids = found.map((m) => m.id).join(", ");
    throw new WeftError("conflict", `${text} is ${found.length} members: give more of the id (${ids})`);
  }
  return first;
}

/** Sorted, and with keys in one order, so that every member answers the same octets. */
export function sharedContainers(containers: readonly ContainerInfo[]): ContainerInfo[] {
  return containers
    .map(({ id, node, nodeName, name, network, ifname, mac, ips, dns, role, published, since }) => ({
      id,
      node,
      nodeName,
      name,
      network,
      ifname,
      mac,
      ips: [...ips],
      dns: [...dns].sort(),
      role,
      published: published
        .map(({ ip, hostPort, port, protocol }) => ({ ip, hostPort, port, protocol }))
        .sort((a, b) => compare(a.ip, b.ip) || a.hostPort - b.hostPort || compare(a.protocol, b.protocol)),
      since,
    }))
    .sort((a, b) => compare(a.network, b.network) || compare(a.node, b.node) || compare(a.id, b.id));
}

/** By code units: the same under every locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
