/** Choices of arguments. */

/** Parts of `weft status`, and what each says. */
const ABOUT = {
  ports: "this host's ports: state, namespace, addresses, traffic",
  networks: "networks on this host: VNI, MTU, encryption, traffic",
  vteps: "traffic with each VTEP",
  fdb: "MAC addresses and where they are",
  neighbours: "IP addresses seen, and their MAC addresses",
  routes: "static MAC addresses and prefixes",
  peers: "members by the path to them: round trip, loss, path MTU, session; other WireGuard peers",
  drops: "every reason why frames are dropped, with counts",
  mesh: "members: state, links, records, tunnel addresses; --dot draws them",
  connections: "control links of this host, and hosts that were named with --join or connect",
  containers: "containers of all members: names, addresses, published ports",
  links: "pairs of containers that have talked, one of them on this host",
  ipam: "who owns which addresses, and how many are used and free here",
  dns: "names and where they lead, where they are answered, who is asked for others",
} as const;

export type Topic = keyof typeof ABOUT;
export const TOPICS = Object.keys(ABOUT) as Topic[];

/** For the help of `weft status`. */
export function topicsText(): string {
  const lines = Object.entries(ABOUT).map(([topic, about]) => `  ${topic.padEnd(13)}${about}`);
  return ["Parts (without one: the whole picture in short):", ...lines].join("\n");
}

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];
