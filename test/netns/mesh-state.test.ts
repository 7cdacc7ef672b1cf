/**
 * What a member keeps on disk: it comes back as the same node with the same addresses. State of another version, of another machine, and of a twin that still runs is
 * refused. Leaving and `weft down` leave nothing behind.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import { allReach, type ContainerRow, meshOf, type Station, station, unreachable } from "../lab/mesh.js";
import type { Namespace } from "../lab/namespace.js";
import { Weft } from "../lab/weft.js";

const KEPT = { mesh: true, keep: true } as const;

interface MemberRow {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly control: readonly string[];
}
interface MeshRow {
  readonly self: string;
  readonly networkId: string;
  readonly members: readonly MemberRow[];
  readonly controlLinks: readonly { readonly name: string; readonly isOutbound: boolean }[];
  readonly targets: readonly { readonly address: string; readonly state: string }[];
}
const mesh = async (weft: Weft): Promise<MeshRow> => (await weft.get("/v1/mesh")) as MeshRow;
const member = async (weft: Weft, name: string): Promise<MemberRow | undefined> =>
  (await mesh(weft)).members.find((one) => one.name === name);
const rows = async (weft: Weft): Promise<ContainerRow[]> => (await weft.get("/v1/containers")) as ContainerRow[];

/** Addresses that the kernel has inside. */
const inside = async (container: Namespace): Promise<string[]> =>
  (await container.devices()).flatMap(({ addresses }) => addresses.map((a) => a.replace(/\/.*/, "")));

/** A daemon that is expected to give up. */
async function givesUp(weft: Weft): Promise<string> {
  const { code } = await weft.job.endsWithin(20_000);
  if (code !== 1) throw new Error(`it ended with ${code}, not with 1\n${weft.job.text}`);
  return weft.job.text;
}

/** Words in front of a daemon's command line: it sees this id of the machine, also where the machine has none. */
function machine(lab: Lab, id: string): string[] {
  const [file, etc] = [lab.file("machine-id"), lab.file("etc")];
  writeFileSync(file, `${id}\n`);
  const script = `[ -e /etc/machine-id ] ||
      { mkdir ${etc}; cp -a /etc/. ${etc} 2>/dev/null; : >${etc}/machine-id; mount --bind ${etc} /etc; }
    mount --bind ${file} /etc/machine-id && exec "$@"`;
  return ["unshare", "-m", "sh", "-c", script, "sh"];
}

/** What of weft is on a host: devices but the underlay, nftables, sockets on its ports, what else is in its directory. */
async function traces(host: Host, weft: Weft): Promise<string[]> {
  const devices = (await host.devices()).map(({ name }) => name).filter((name) => name !== "under0");
  const { stdout: tables } = await host.attempt("nft list tables");
  const sockets = (await host.run("ss -Hanut")).split("\n").filter((line) => /:(6783|6782|4789|51820|53)\b/.test(line));
  const open = sockets.filter((line) => !/TIME-WAIT|CLOSE-WAIT|FIN-WAIT/.test(line));
  const files = existsSync(weft.socket) ? [weft.socket] : [];
  return [...devices, ...tables.split("\n").filter((line) => line.includes("weft")), ...open, ...files];
}
const filesOf = (weft: Weft): string[] => readdirSync(weft.stateDir).filter((name) => name !== "lock");

t.test("a member's state", { timeout: 400_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, h2, h3, h4] = await lab.hosts("h1", "h2", "h3", "h4");
  const [w1, w2, w3] = (await meshOf(lab, [h1, h2, h3], KEPT)) as [Weft, Weft, Weft];
  const stations = (await Promise.all([station(lab, w1, "c1"), station(lab, w2, "c2"), station(lab, w3, "c3")])) as [
    Station,
    Station,
    Station,
  ];
  await allReach(stations, 30_000);
  const [c1, c2, c3] = stations;
  const back = (weft: Weft, name: string): Promise<true> =>
    until(`${name} is there again`, async () => (await member(weft, name))?.state === "alive" || undefined, 20_000);

  await t.test("killed and started again", async (t) => {
    const { self } = await mesh(w2);
    await w2.kill("SIGKILL");
    t.same((await inside(c2.container)).sort(), [c2.v4, c2.v6].sort(), "its container keeps its addresses meanwhile");
    await w2.again();
    await back(w1, "h2");
    t.equal((await mesh(w2)).self, self, "it is the same node, and the others see it within 5 s");
    await allReach([c1, c2, c3], 5000);
    t.same((await rows(w1)).find(({ id }) => id === "c2")?.ips, [c2.v4, c2.v6], "with the same addresses");
    await w2.ok(["detach", "c2"]);
    const port = JSON.parse(await w2.ok(["attach", c2.container.name, "--id", "c2", "--name", "c2", "--json"])) as {
      ip: string[];
    };
    t.match(port.ip[0], new RegExp(`^${c2.v4}/`), "who comes back gets the address that it had");
  });

  await t.test("SIGTERM parks, the next start adopts, and founds no second network", async (t) => {
    const { networkId, self } = await mesh(w1);
    await w1.kill("SIGTERM");
    t.notMatch(w1.job.text, /part of the end failed/);
    t.same((await inside(c1.container)).sort(), [c1.v4, c1.v6].sort(), "its container keeps its device");
    await w1.again();
    t.match(await mesh(w1), { networkId, self }, "the same network, the same node");
    await back(w2, "h1");
    await allReach([c1, c2, c3], 5000);
    t.pass("containers work as before");
  });

  await t.test("the founder's records are lost: it founds no second network", async (t) => {
    const { networkId, self } = await mesh(w1);
    const network = await w1.ok(["network", "list", "--json"]);
    const token = (await w2.ok(["token", "--quiet"])).trim();
    await w1.kill("SIGKILL");
    rmSync(join(w1.stateDir, "records.log"));
    const start = { ...KEPT, more: ["--name", h1.label] };
    t.match(await givesUp(Weft.start(lab, h1, start)), /has founded its network, and the records of it are gone/);
    const joined = await Weft.up(lab, h1, { ...start, join: [h2.v4], token });
    t.match(await mesh(joined), { networkId, self }, "the same node in the same network");
    t.equal(await joined.ok(["network", "list", "--json"]), network, "with the same address space");
    await back(w2, "h1");
    await joined.kill("SIGKILL");
    await w1.again();
    await back(w2, "h1");
    await allReach([c1, c2, c3], 10_000);
    t.match(await mesh(w1), { networkId, self }, "and needs no token the next time");

    await w1.kill("SIGKILL");
    const identity = join(w1.stateDir, "identity.json");
    const keys = readFileSync(identity);
    const records = readFileSync(join(w1.stateDir, "records.log"));
    rmSync(identity);
    t.match(await givesUp(Weft.start(lab, h1, start)), /records\.log is there, but no identity\.json beside it/);
    t.same(readFileSync(join(w1.stateDir, "records.log")), records, "they are as they were");
    writeFileSync(identity, keys, { mode: 0o600 });
    await w1.again();
    await back(w2, "h1");
  });

  await t.test("state that is not for this weft or this machine", async (t) => {
    await w3.kill("SIGKILL");
    const refusedWith = async (
      label: string,
      name: string,
      change: (value: Record<string, unknown>) => object,
      through: readonly string[] = [],
    ) => {
      cpSync(w3.stateDir, lab.file(`${label}.state`), { recursive: true });
      const file = join(lab.file(`${label}.state`), name);
      const text = JSON.stringify(change(JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>));
      writeFileSync(file, text, { mode: 0o600 });
      const said = await givesUp(Weft.start(lab, h3, { ...KEPT, label, through }));
      t.equal(readFileSync(file, "utf8"), text, "it is not overwritten");
      return said;
    };
    t.match(
      await refusedWith("other-version", "mesh.json", (value) => ({ ...value, version: 99 })),
      /mesh\.json is of version 99, this weft reads version 1/,
    );
    t.match(
      await refusedWith("other-identity", "identity.json", (value) => ({ ...value, version: 99 })),
      /identity\.json is of version 99/,
    );
    const other = (value: object): object => ({ ...value, machine: "0".repeat(32) });
    t.match(
      await refusedWith("other-machine", "identity.json", other, machine(lab, "0123456789abcdef0123456789abcdef")),
      /was made on another machine: this one is a clone of it/,
    );
    await w3.again();
    await back(w1, "h3");
  });

  await t.test("a copy that runs beside the original", async (t) => {
    cpSync(w3.stateDir, lab.file("copy.state"), { recursive: true });
    const copy = Weft.start(lab, h4, { ...KEPT, label: "copy", more: ["--name", "h3"] });
    const told = /another machine runs with this node's identity/;
    await until("it is found", () => told.test(w3.job.text) || told.test(copy.job.text), 20_000);
    const one = told.test(w3.job.text) ? w3 : copy;
    t.equal((await one.job.endsWithin(20_000)).code, 1, "loud, and it stops");
    await copy.kill("SIGKILL");
    const works = async (): Promise<boolean> => {
      // Each may find the other, so the original may stop as well, and a moment later.
      if (!w3.job.running) await w3.again();
      return (await unreachable([c1, c2, c3])).length === 0;
    };
    await until("the one that is left works", works, 30_000);
    await back(w1, "h3");
    t.pass("the one that is left works");
  });

  await t.test("nobody answers", async (t) => {
    const token = (await w1.ok(["token", "--quiet"])).trim();
    const alone = Weft.start(lab, h4, { ...KEPT, label: "alone", join: [h4.v4.replace(/\d+$/, "1:6999")], token });
    t.match(await givesUp(alone), /cannot join: .*nobody listens there/, "why it cannot join");
    t.same(filesOf(alone), [], "and nothing of it is kept");
  });

  await t.test("named hosts only, and an address of its own choice", async (t) => {
    const token = (await w1.ok(["token", "--quiet"])).trim();
    const more = ["--name", "h4", "--no-discovery", "--advertise", "192.0.2.50:6999"];
    const w4 = Weft.start(lab, h4, { ...KEPT, label: "h4", join: [h1.v4], token: "-", more });
    // It is not in any command line.
    w4.job.child.stdin?.write(`${token}\n`);
    await w4.ready();
    t.equal((await member(w1, "h4"))?.control[0], "192.0.2.50:6999", "others are told to dial it there first");
    const dialled = async (): Promise<string[]> =>
      (await mesh(w4)).controlLinks.filter(({ isOutbound }) => isOutbound).map(({ name }) => name);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    t.same(
      (await dialled()).filter((name) => name !== "h1"),
      [],
      "it dials nobody but who was named",
    );
    await w4.ok(["connect", h2.v4]);
    await until("it knows whom it was told", async () =>
      (await mesh(w4)).targets.some((one) => one.state === "connected"),
    );
    t.same((await mesh(w4)).targets.map(({ address }) => address).sort(), [`${h1.v4}:6783`, `${h2.v4}:6783`]);
    await w4.ok(["forget", h2.v4]);
    t.same(
      (await mesh(w4)).targets.map(({ address }) => address),
      [`${h1.v4}:6783`],
    );
    t.match(await w4.ok(["leave"]), /left network/);
    t.equal((await w4.job.endsWithin(20_000)).code, 0, "whoever leaves ends well");
    t.notMatch(w4.job.text, /part of the end failed|cannot go on/);
    t.same(filesOf(w4), [], "and forgets who it was");
    t.same(await traces(h4, w4), [], "nothing is left on its host");
    await until("the others know", async () => (await member(w1, "h4")) === undefined);
  });

  await t.test("`weft leave` and `weft down` with containers", async (t) => {
    const early = await w3.weft(["leave"]);
    t.equal(early.code, 1);
    t.match(early.stderr, /`weft detach` first/, "nobody's container is cut off by the way");
    await w3.ok(["detach", "c3"]);
    await w3.ok(["leave"]);
    t.equal((await w3.job.endsWithin(20_000)).code, 0);
    t.same(await traces(h3, w3), []);
    t.same(filesOf(w3), []);
    const { self } = await mesh(w2);
    await w2.ok(["down"]);
    t.equal((await w2.job.endsWithin(20_000)).code, 0);
    t.notMatch(w2.job.text, /part of the end failed/);
    t.same(await c2.container.devices(), [], "no device in the container");
    t.same(await traces(h2, w2), [], "nothing on the host");
    await w2.again();
    t.equal((await mesh(w2)).self, self, "it is a member as before");
    await back(w1, "h2");
    t.same(
      (await w2.status()).ports.filter(({ role }) => role === "container"),
      [],
      "without containers",
    );
  });
});
