/** What is wrong and does not right itself is seen: in `weft status`, in the metrics, once in the log; and it ends when its cause does. So is how long news takes. */
import t from "tap";
import { namespacePath } from "../../packages/control/src/gateway/namespace.js";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { meshOf } from "../lab/mesh.js";
import { ownSleep } from "../lab/own-time.js";
import type { Weft } from "../lab/weft.js";

const problems = async (weft: Weft): Promise<string[]> =>
  (await weft.ok(["status"])).split("\n").filter((line) => line.startsWith("PROBLEM"));
const logged = (weft: Weft, kind: string, level: string): string[] =>
  weft.job.text
    .split("\n")
    .filter((line) => line.includes(`"problem":"${kind}"`) && line.includes(`"level":"${level}"`));

t.test("problems of a mesh", { timeout: 300_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, h2] = await lab.hosts("h1", "h2");
  const [w1, w2] = (await meshOf(lab, [h1, h2])) as [Weft, Weft];
  t.same([await problems(w1), await problems(w2)], [[], []], "none at first");

  await t.test("a gateway that cannot be made, and can later", async (t) => {
    await w1.ok(["network", "create", "blue", "--cidr", "10.77.0.0/16", "--vni", "5001"]);
    const inside = `nsenter --net=${namespacePath(w1.socket)}`;
    await h1.run(`${inside} ip link add gw-5001 type veth peer name other`);
    const c1 = await lab.container("c1");
    await w1.ok(["attach", c1.name, "--network", "blue", "--id", "c1"]);
    t.equal((await c1.ping("10.77.0.1", { count: 1 })).received, 0);
    const [problem, ...more] = await problems(w1);
    t.match(
      problem,
      /^PROBLEM +network blue has no gateway on this host: .*no DNS, no way out.*tried again every 10 s$/,
    );
    t.same(more, []);
    t.match(
      [...(await w1.metrics())].find(([name]) => name === 'weft_problems{kind="gateway"}'),
      [/./, 1],
    );
    // Two looks for the log, and one try, come meanwhile.
    await ownSleep(12_000);
    t.equal(logged(w1, "gateway", "warn").length, 1, "said once");
    await h1.run(`${inside} ip link del gw-5001`);
    await until("the gateway answers", async () => (await c1.ping("10.77.0.1", { count: 1 })).received === 1, 20_000);
    t.same(await problems(w1), []);
    await until("the log says that it is over", () => logged(w1, "gateway", "info").length === 1, 10_000);
    t.equal((await w1.metrics()).get('weft_problems{kind="gateway"}'), 0);
    t.same(await problems(w2), [], "another host has nothing to do with it");
  });

  await t.test("DNS that cannot listen, and can later", async (t) => {
    const listens = "require('node:dgram').createSocket('udp4').bind(53, () => console.log('bound'))";
    const inside = ["nsenter", `--net=${namespacePath(w1.socket)}`];
    // With its last container the other gateway goes, and its socket.
    await w1.ok(["detach", "c1"]);
    const other = h1.start([...inside, process.execPath, "-e", listens]);
    await other.line(/bound/);
    await w1.ok(["network", "create", "white", "--cidr", "10.78.0.0/16", "--vni", "5002"]);
    const c2 = await lab.container("c2");
    await w1.ok(["attach", c2.name, "--network", "white", "--id", "c2", "--dns-name", "c2"]);
    t.match(await problems(w1), [
      /^PROBLEM +network white: no DNS at 10\.78\.0\.1 \(.*EADDRINUSE.*tried again every 10 s$/,
    ]);
    t.equal((await c2.ping("10.78.0.1", { count: 1 })).received, 1, "the gateway is there");
    await other.kill("SIGKILL");
    await until("names are answered", async () => (await problems(w1)).length === 0, 20_000);
    t.match(await w1.ok(["status", "dns"]), /answers at .*10\.78\.0\.1:53/);

    // Somebody deletes the gateway's device, with its addresses.
    const answer = async (): Promise<string> =>
      (await c2.attempt("dig @10.78.0.1 +short +time=1 +tries=1 c2.weft.local")).stdout.trim();
    t.match(await answer(), /^10\.78\./);
    await h1.run([...inside, "ip", "link", "del", "gw-5002"]);
    await until("names are answered again", async () => (await answer()).startsWith("10.78."), 20_000);
    t.equal((await c2.ping("10.78.0.1", { count: 1 })).received, 1, "and pings");
    t.same(await problems(w1), []);
  });

  await t.test("two networks with one VNI after a partition", async (t) => {
    for (const family of ["iptables", "ip6tables"]) await h1.run(`${family} -A INPUT -i under0 -j DROP`);
    await until("they are apart", async () => (await w2.ok(["status"])).includes("1 UNREACHABLE"), 20_000);
    await w1.ok(["network", "create", "red", "--vni", "6000"]);
    await w2.ok(["network", "create", "green", "--vni", "6000"]);
    t.same([await problems(w1), await problems(w2)], [[], []]);
    for (const family of ["iptables", "ip6tables"]) await h1.run(`${family} -F INPUT`);
    for (const weft of [w1, w2]) {
      const found = await until(
        "it is told",
        async () => ((await problems(weft)).length > 0 ? await problems(weft) : false),
        20_000,
      );
      t.equal(found.length, 1);
      t.match(
        found[0],
        /^PROBLEM +network (red|green): VNI 6000 is that of network (green|red), too: no other host is reached/,
      );
      t.equal((await weft.metrics()).get('weft_problems{kind="network_conflict"}'), 1);
    }
    await w1.ok(["network", "remove", "green"]);
    await until(
      "it is over on both",
      async () => [...(await problems(w1)), ...(await problems(w2))].length === 0,
      10_000,
    );
  });

  await t.test("convergence: what a healthy mesh takes, not the seconds until somebody compares", async (t) => {
    for (let i = 1; i <= 10; i++) {
      await w1.ok(["dns", "add", "name", `10.77.0.${i}`]);
      await ownSleep(200);
    }
    const metrics = await w1.metrics();
    const of = (what: string): number => metrics.get(`weft_mesh_convergence_seconds_${what}`) ?? Number.NaN;
    t.ok(of("count") >= 8, `${of("count")} measurements`);
    t.ok(of('bucket{le="1"}') >= 0.8 * of("count"), `${of('bucket{le="1"}')} of ${of("count")} within a second`);
  });
});
