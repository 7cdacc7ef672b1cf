/** Rules of the mesh section, and of the wireguard section with and without it. Whatever the schema refuses is skipped here. */
import { DEFAULT_LISTEN_PORT, DEFAULT_MESH_PORT } from "./defaults.js";
import { hostPort, isFamilyTwice, splitHost } from "./formats.js";
import { type Problem, show } from "./problems.js";
import { asMap, entries } from "./tunnel.js";

/** @param vxlanPort UDP port that WireGuard cannot have. */
export function meshProblems(section: unknown, vxlanPort: number): Problem[] {
  if (section === undefined) return [];
  const { join, advertise, cidr, wireguardPort = DEFAULT_LISTEN_PORT } = asMap(section);
  const prefixes = entries(cidr);
  return [
    ...doubles(join, ["mesh", "join"]),
    ...doubles(advertise, ["mesh", "advertise"]),
    ...(isFamilyTwice(prefixes)
      ? [
          {
            path: ["mesh", "cidr", 1],
            text: `found ${show(prefixes[1])}, a second prefix of one family; allowed: one per family`,
          },
        ]
      : []),
    ...(wireguardPort === vxlanPort
      ? [{ path: ["mesh", "wireguardPort"], text: `found ${vxlanPort}, which is the port of VXLAN; allowed: another` }]
      : []),
  ];
}

/** Keys that a static configuration needs and that a mesh has itself. */
export function keyProblems(section: unknown, hasMesh: boolean): Problem[] {
  if (section === undefined || section === null) return [];
  const given = asMap(section);
  if (section !== given) return [];
  const refused = (key: string, instead: string): Problem[] =>
    given[key] === undefined
      ? []
      : [{ path: ["wireguard", key], text: `not with a mesh section; allowed: ${instead}` }];
  const missing = (key: string, what: string): Problem[] =>
    given[key] === undefined ? [{ path: ["wireguard", key], text: `missing; allowed: ${what}` }] : [];
  if (hasMesh)
    return [
      ...refused(
        "privateKeyFile",
        "nothing, as the mesh makes a key of its own (`weft status peers` shows the public one)",
      ),
      ...refused("listenPort", "mesh.wireguardPort"),
    ];
  return [
    ...missing("privateKeyFile", "a path"),
    ...missing("address", "1..8 addresses inside the tunnel, as [10.7.0.1]"),
  ];
}

function doubles(value: unknown, at: Problem["path"]): Problem[] {
  const seen = new Set<string>();
  return entries(value).flatMap((entry, i): Problem[] => {
    const found = typeof entry === "string" ? splitHost(entry) : undefined;
    if (!found) return [];
    const key = hostPort(found.host.toLowerCase(), found.port ?? DEFAULT_MESH_PORT);
    if (seen.has(key)) return [{ path: [...at, i], text: `found ${show(entry)} twice; allowed: each once` }];
    seen.add(key);
    return [];
  });
}
