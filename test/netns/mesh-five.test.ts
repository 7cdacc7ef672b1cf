/**
 * Five daemons join through one: addresses from IPAM, names from DNS, one view everywhere; then the first is stopped and nothing
 * else changes; then a container is killed and is gone everywhere.
 */
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { allReach, type ContainerRow, containers, meshOf, type Station, station, unreachable } from "../lab/mesh.js";
import { ownMs } from "../lab/own-time.js";
import { resolver } from "../lab/resolver.js";

t.test("five hosts, one network", { timeout: 360_000 }, async (t) => {
  const lab = await Lab.open(t);
  const hosts = await lab.hosts("h1", "h2", "h3", "h4", "h5");
  const wefts = await meshOf(lab, hosts);
  const startedMs = ownMs();
  const stations: Station[] = await Promise.all(
    wefts.flatMap((weft, i) => [
      station(lab, weft, `c${i + 1}`),
      station(lab, weft, `web${i + 1}`, ["--dns-name", "web"]),
    ]),
  );
  await allReach(stations, 10_000 - (ownMs() - startedMs));
  t.ok(ownMs() - startedMs < 10_000, "every container reaches every other within 10 s of the last start");

  const v4 = new Set(stations.map((s) => s.v4));
  t.equal(v4.size, 10, "no address twice");
  for (const s of stations) t.match(s.v4, /^10\.(3[2-9]|4[0-7])\./, "from the default network");

  const same = async (): Promise<boolean> => {
    const views = await Promise.all(wefts.filter((w) => w.job.running).map(containers));
    return new Set(views).size === 1 && (JSON.parse(views[0] as string) as ContainerRow[]).length > 0;
  };
  await until("one view everywhere", same, 5000);
  t.pass("`weft status containers --json` is the same everywhere within 5 s");

  await (wefts[0] as (typeof wefts)[0]).ok(["dns", "add", "shelf", "192.0.2.77"]);
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
    const before = await containers(wefts[1] as (typeof wefts)[0]);
    const others = stations.slice(2);
    const dns = await resolver(lab, others[0] as Station);
    t.same(await dns.dig("shelf.weft.local", "A"), ["192.0.2.77"], "a name that was added there");
    await (wefts[0] as (typeof wefts)[0]).kill("SIGKILL");
    t.same(await unreachable(others), [], "all others go on");
    await new Promise((resolve) => setTimeout(resolve, 3000));
    t.same(await unreachable(others), [], "also later");
    for (const name of ["shelf", "c1"]) t.same(await dns.dig(`${name}.weft.local`, "A"), [], `${name} is withdrawn`);
    const now = JSON.parse(await containers(wefts[1] as (typeof wefts)[0])) as ContainerRow[];
    const rest = (JSON.parse(before) as ContainerRow[]).filter((row) => !["c1", "web1"].includes(row.id));
    t.same(
      now.filter((row) => !["c1", "web1"].includes(row.id)),
      rest,
      "their containers are as they were",
    );
    const late = await station(lab, wefts[4] as (typeof wefts)[0], "late");
    t.same(await unreachable([late, ...others.slice(0, 2)]), [], "a new container gets an address and is reached");
  });

  await t.test("a container is killed", async (t) => {
    const dead = stations[3] as Station;
    const watcher = stations[6] as Station;
    const dns = await resolver(lab, watcher);
    const rows = JSON.parse(await containers(dead.weft)) as ContainerRow[];
    const { mac } = rows.find(({ id }) => id === dead.id) as ContainerRow;
    const killedMs = ownMs();
    await lab.remove(dead.container);
    const running = wefts.filter((w) => w.job.running);
    await until(
      "gone everywhere",
      async () => {
        for (const weft of running) {
          if ((await containers(weft)).includes(dead.v4)) return false;
          if (JSON.stringify(await weft.fdb()).includes(mac)) return false;
        }
        return !(await dns.dig("web.weft.local", "A")).includes(dead.v4);
      },
      3000 - (ownMs() - killedMs),
    );
    t.ok(ownMs() - killedMs < 3000, "addresses, names and FDB entries within 3 s");
    const [other] = await dns.dig("web.weft.local", "A");
    t.equal((await watcher.container.ping(other as string)).received, 3, "the name leads to another one");
  });
});
