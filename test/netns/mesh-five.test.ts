/**
 * Five daemons join through one: addresses from IPAM, names from DNS, one view everywhere; then the first is stopped and nothing
 * else changes; then a container is killed and is gone everywhere.
 */
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import {
  allReach,
  type ContainerRow,
  containers,
  meshOf,
  type Station,
  station,
  stationAt,
  unreachable,
} from "../lab/mesh.js";
import { ownMs } from "../lab/own-time.js";
import { type Resolver, resolver } from "../lab/resolver.js";
import type { Weft } from "../lab/weft.js";

t.test("five hosts, one network", { timeout: 360_000 }, async (t) => {
  const lab = await Lab.open(t);
  const hosts = await lab.hosts("h1", "h2", "h3", "h4", "h5");
  const places = await Promise.all(
    hosts.map(async (_, i) => [await lab.container(`c${i + 1}`), await lab.container(`web${i + 1}`)] as const),
  );
  const wefts = await meshOf(lab, hosts);
  const startedMs = Math.max(...wefts.map(({ job }) => job.startedMs));
  const stations: Station[] = await Promise.all(
    wefts.flatMap((weft, i) => {
      const [c, web] = places[i] as (typeof places)[0];
      return [stationAt(c, weft), stationAt(web, weft, { dnsNames: ["web"] })];
    }),
  );
  await allReach(stations, 10_000 - (ownMs() - startedMs));
  t.comment(`${Math.round(ownMs() - startedMs)} ms`);
  t.ok(ownMs() - startedMs < 10_000, "every container reaches every other within 10 s of the last start");

  const v4 = new Set(stations.map((s) => s.v4));
  t.equal(v4.size, 10, "no address twice");
  for (const s of stations) t.match(s.v4, /^10\.(3[2-9]|4[0-7])\./, "from the default network");

  const last = await station(lab, wefts[2] as Weft, "last");
  const changedMs = ownMs();
  const views = async (): Promise<string[]> => await Promise.all(wefts.map(containers));
  const isSame = (all: readonly string[]): boolean =>
    all.every((one) => one === all[0] && one.includes(`"${last.v4}"`));
  await until("one view everywhere", async () => isSame(await views()), 5000 - (ownMs() - changedMs));
  t.pass("every daemon lists the same within 5 s of the last change");
  const printed = await Promise.all(wefts.map((weft) => weft.ok(["status", "containers", "--json"])));
  t.equal(new Set(printed).size, 1, "`weft status containers --json` prints the same everywhere");
  t.same(JSON.parse(printed[0] as string), JSON.parse((await views())[0] as string));
  t.equal((JSON.parse(printed[0] as string) as ContainerRow[]).length, stations.length + 1);

  await (wefts[0] as Weft).ok(["dns", "add", "shelf", "192.0.2.77"]);
  await t.test("names resolve", async (t) => {
    const [from, to] = [stations[0] as Station, stations[8] as Station];
    const dns = await resolver(lab, from);
    t.same(await dns.dig("c5.weft.local", "A"), [to.v4], "dig, A");
    t.same(await dns.dig("c5.default.weft.local", "AAAA"), [to.v6], "dig, AAAA");
    t.same(await dns.dig(to.v4, "PTR"), ["c5.default.weft.local."], "dig, PTR");
    t.same(
      (await dns.dig("web.weft.local", "A")).sort(),
      stations
        .filter((_, i) => i % 2 === 1)
        .map((s) => s.v4)
        .sort(),
    );
    t.ok(
      (await dns.glibc("c5.weft.local")).includes(to.v4) || (await dns.glibc("c5.weft.local")).includes(to.v6),
      "glibc",
    );
    t.same(await dns.dig("shelf.default.weft.local", "A"), ["192.0.2.77"], "added by hand");
    t.match(await dns.busybox("c5.weft.local"), new RegExp(to.v4.replaceAll(".", "\\.")), "busybox");
  });

  await t.test("the first host is stopped", async (t) => {
    const before = await containers(wefts[1] as Weft);
    const others = stations.slice(2);
    const dns = await resolver(lab, others[0] as Station);
    t.same(await dns.dig("shelf.weft.local", "A"), ["192.0.2.77"], "a name that was added there");
    await (wefts[0] as Weft).kill("SIGKILL");
    t.same(await unreachable(others), [], "all others go on");
    await new Promise((resolve) => setTimeout(resolve, 3000));
    t.same(await unreachable(others), [], "also later");
    for (const name of ["shelf", "c1"]) t.same(await dns.dig(`${name}.weft.local`, "A"), [], `${name} is withdrawn`);
    const now = JSON.parse(await containers(wefts[1] as Weft)) as ContainerRow[];
    const rest = (JSON.parse(before) as ContainerRow[]).filter((row) => !["c1", "web1"].includes(row.id));
    t.same(
      now.filter((row) => !["c1", "web1"].includes(row.id)),
      rest,
      "their containers are as they were",
    );
    const late = await station(lab, wefts[4] as Weft, "late");
    t.same(await unreachable([late, ...others.slice(0, 2)]), [], "a new container gets an address and is reached");
  });

  await t.test("a container is killed", async (t) => {
    const dead = stations[3] as Station;
    const watcher = stations[6] as Station;
    // One container of each host that is left: it asks the gateway there.
    const everywhere = await Promise.all([2, 4, 6, 8].map((i) => resolver(lab, stations[i] as Station)));
    const dns = everywhere[2] as Resolver;
    const rows = JSON.parse(await containers(dead.weft)) as ContainerRow[];
    const { mac } = rows.find(({ id }) => id === dead.id) as ContainerRow;
    const named = async ({ dig }: Resolver): Promise<string[]> => {
      const answers = [dig("web2.weft.local", "A"), dig("web.weft.local", "A"), dig("web.weft.local", "AAAA")];
      const found = (await Promise.all(answers)).flat().filter((ip) => ip === dead.v4 || ip === dead.v6);
      return [...found, ...(await dig(dead.v4, "PTR"))];
    };
    for (const one of everywhere) t.equal((await named(one)).length, 4, "before: three addresses and a name");
    const killedMs = ownMs();
    await lab.remove(dead.container);
    const running = wefts.filter((w) => w.job.running);
    t.equal(running.length, everywhere.length);
    await until(
      "gone everywhere",
      async () => {
        for (const weft of running) {
          if ((await containers(weft)).includes(dead.v4)) return false;
          if (JSON.stringify(await weft.fdb()).includes(mac)) return false;
        }
        return (await Promise.all(everywhere.map(named))).flat().length === 0;
      },
      3000 - (ownMs() - killedMs),
    );
    t.ok(ownMs() - killedMs < 3000, "addresses, FDB entries, and names at every gateway within 3 s");
    const [other] = await dns.dig("web.weft.local", "A");
    t.equal((await watcher.container.ping(other as string)).received, 3, "the name leads to another one");
  });
});
