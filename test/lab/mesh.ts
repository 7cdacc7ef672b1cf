/** Daemons that found and join one network, as people do it: `weft up`, then `weft up --join … --token …` everywhere else. */
import { until } from "./job.js";
import type { Host, Lab } from "./lab.js";
import type { Namespace } from "./namespace.js";
import { type UpOptions, Weft } from "./weft.js";

/** What the tests use of the answers of the API. */
export interface ContainerRow {
  readonly id: string;
  readonly name: string | null;
  readonly node: string;
  readonly network: string;
  readonly mac: string;
  readonly ips: readonly string[];
}
export interface PathRow {
  readonly name: string;
  readonly mode: "direct" | "relayed" | "none";
  readonly via: string | null;
  readonly viaName: string | null;
  readonly mtu: number | null;
}

/** The first host founds; the others join through it, all at once. */
export async function meshOf(lab: Lab, hosts: readonly Host[], options: UpOptions = {}): Promise<Weft[]> {
  const [first, ...rest] = hosts;
  if (first === undefined) throw new Error("no host");
  const named = (host: Host): readonly string[] => [...(options.more ?? []), "--name", host.label];
  const seed = await Weft.up(lab, first, { ...options, mesh: true, more: named(first) });
  const token = (await seed.ok(["token", "--quiet"])).trim();
  const joined = await Promise.all(
    rest.map((host) => Weft.up(lab, host, { ...options, mesh: true, join: [first.v4], token, more: named(host) })),
  );
  return [seed, ...joined];
}

/** A container with addresses from the network's own. */
export interface Station {
  readonly container: Namespace;
  readonly weft: Weft;
  readonly id: string;
  readonly v4: string;
  readonly v6: string;
}

/** With options that `weft attach` knows it is the command that attaches; else, as Weft.attach, the API. */
export async function station(lab: Lab, weft: Weft, label: string, more?: readonly string[]): Promise<Station> {
  const container = await lab.container(label);
  if (more === undefined) return await stationAt(container, weft);
  const words = ["attach", container.name, "--name", label, "--id", label, ...more, "--json"];
  return stationOf(container, weft, JSON.parse(await weft.ok(words)) as Given);
}

/** The same of a container that is there, through the API. */
export async function stationAt(container: Namespace, weft: Weft, body: object = {}): Promise<Station> {
  const { label } = container;
  const wanted = { netns: container.path, id: label, name: label, ...body };
  return stationOf(container, weft, (await weft.post("/v1/ports", wanted)) as Given);
}

interface Given {
  readonly id: string;
  readonly ip: readonly string[];
}

function stationOf(container: Namespace, weft: Weft, port: Given): Station {
  const { label } = container;
  const bare = port.ip.map((cidr) => cidr.replace(/\/.*/, ""));
  const v4 = bare.find((ip) => !ip.includes(":"));
  const v6 = bare.find((ip) => ip.includes(":"));
  if (v4 === undefined || v6 === undefined) throw new Error(`${label} has ${port.ip.join(", ")}`);
  return { container, weft, id: port.id, v4, v6 };
}

/** Which of the stations do not answer each other's pings, one try for each pair and family. */
export async function unreachable(
  stations: readonly Station[],
  families: readonly (4 | 6)[] = [4, 6],
): Promise<string[]> {
  const pairs = stations.flatMap((from) => stations.filter((to) => to !== from).map((to) => ({ from, to })));
  const results = await Promise.all(
    pairs.flatMap(({ from, to }) =>
      families.map(async (family) => {
        const address = family === 4 ? to.v4 : to.v6;
        const { code } = await from.container.attempt(`ping -n -c 1 -W 1 ${address}`);
        return code === 0 ? [] : [`${from.container.label} → ${to.container.label} over IPv${family}`];
      }),
    ),
  );
  return results.flat();
}

/** Waits until all stations reach each other; milliseconds that took. */
export async function allReach(stations: readonly Station[], withinMs: number): Promise<number> {
  const start = performance.now();
  let left: string[] = [];
  await until(
    `every container reaches every other`,
    async () => {
      left = await unreachable(stations);
      if (left.length > 0) throw new Error(left.join("; "));
      return true;
    },
    withinMs,
  );
  return performance.now() - start;
}

/** How a member reaches another one, by its name. */
export async function pathTo(weft: Weft, name: string): Promise<PathRow | undefined> {
  return ((await weft.get("/v1/paths")) as PathRow[]).find((row) => row.name === name);
}

/** Datagrams that a member has handed on for others. */
export async function relayed(weft: Weft): Promise<number> {
  const { other } = (await weft.get("/v1/counters")) as { other: { name: string; count: number }[] };
  return other.find(({ name }) => name === "relayed_packets")?.count ?? 0;
}

/** What `weft status containers --json` prints, as it is. */
export async function containers(weft: Weft): Promise<string> {
  return JSON.stringify(await weft.get("/v1/containers"));
}
