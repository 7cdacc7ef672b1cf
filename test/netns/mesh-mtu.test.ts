/** A path becomes narrower while TCP runs: it goes on, what is too long is told of, and what strangers tell is not believed. */
import t from "tap";
import { checksum, ethernet, ipv4, udp } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import { allReach, meshOf, type PathRow, station } from "../lab/mesh.js";
import { ownShare } from "../lab/own-time.js";
import { Shaper } from "../lab/shaper.js";
import { stream, transfer } from "../lab/traffic.js";
import type { Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

/** Longest silence of a TCP whose packets vanish because they are too long for the path all at once, in milliseconds. */
const GAP_MS = 3000;

t.test("the path MTU goes down to 1280", { timeout: 360_000 }, async (t) => {
  const lab = await Lab.open(t);
  const { hosts, shaper } = await Shaper.hosts(lab, ["left", "right"], 2000);
  const [left, right] = (await meshOf(lab, hosts)) as [Weft, Weft];
  const network = await left.ok(["network", "create", "wide", "--mtu", "1500"]);
  t.type(network, "string");
  await until(
    "the network is everywhere",
    async () => (await right.ok(["status", "networks"])).includes("wide"),
    20_000,
  );
  const a = await station(lab, left, "a", ["--network", "wide"]);
  const b = await station(lab, right, "b", ["--network", "wide"]);
  await allReach([a, b], 30_000);
  t.equal((await a.container.ping(b.v4, { size: 1400, whole: true })).received, 3, "1400 octets pass first");

  const mtu = async (): Promise<number> => ((await left.get("/v1/paths")) as PathRow[])[0]?.mtu ?? 0;
  await until("the path's MTU is known", async () => (await mtu()) > 0);
  const wide = await mtu();
  const share = ownShare();
  const running = await stream(a.container, b.container, b.v4, 10e6, 1e6);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await shaper.worsenBoth(0, 1, { kind: "limit", octets: 1280 });
  await until("the path is narrower", async () => (await mtu()) < wide && (await mtu()) <= 1280 - 60, 20_000);
  const { sent, received } = await running.finish();
  t.equal(received.sha256, sent.sha256, "TCP goes on");
  const gapMs = Math.round(received.gapMs * share());
  t.ok(gapMs < GAP_MS, `longest gap ${gapMs} ms`);

  // What the container's kernel has learned is forgotten: else it says itself that a packet is too long. Its device takes 1500 octets.
  for (const family of ["-4", "-6"]) await a.container.run(`ip ${family} route flush cache`);
  const room = (await mtu()) - 70;
  const large = await a.container.attempt(`ping -n -c 1 -W 1 -M do -s 1400 ${b.v4}`);
  t.match(
    large.stdout,
    `From ${b.v4} icmp_seq=1 Frag needed and DF set (mtu = ${room})`,
    "a ping that must not be cut is told by its destination",
  );
  t.notMatch(`${large.stdout}${large.stderr}`, /message too long/i, "by nobody else");
  const large6 = await a.container.attempt(`ping -n -c 1 -W 1 -M do -s 1400 ${b.v6}`);
  t.match(large6.stdout, `From ${b.v6} icmp_seq=1 Packet too big: mtu=${room}`, "over IPv6, too");
  t.notMatch(`${large6.stdout}${large6.stderr}`, /message too long/i);

  // A stranger on the underlay says that the path is narrower still: the host's kernel believes it, weft does not read it.
  const told = await mtu();
  const wire = await Wire.open(lab, right.host, "under0");
  const before = await unreachables(left.host);
  await wire.send(...Array.from({ length: 20 }, () => forged(left.host.v4, right.host.v4)));
  await until("all of them have come", async () => (await unreachables(left.host)) === before + 20);
  t.match(await left.host.run(`ip route get ${right.host.v4}`), / mtu 600\b/);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  t.equal(await mtu(), told, "a forged too-big changes nothing");

  await shaper.healBoth(0, 1);
  // Nothing is sought on a path that nobody uses.
  const using = a.container.start(["ping", "-n", "-q", "-i", "2", b.v4]);
  await until("wide again", async () => (await mtu()) === wide, 75_000);
  await using.kill("SIGINT");
  const again = await transfer(a.container, b.container, b.v4, 2e6);
  t.equal(again.sent.sha256, again.received.sha256);
});

/** ICMP messages of the type that says "fragmentation needed" which a host's kernel has taken. */
async function unreachables(host: Host): Promise<number> {
  const rows = (await host.run("cat /proc/net/snmp")).split("\n").filter((line) => line.startsWith("Icmp:"));
  const [names, values] = rows.map((row) => row.split(" "));
  return Number(values?.[names?.indexOf("InDestUnreachs") ?? -1]);
}

/** "Fragmentation needed, MTU 600", as if a router on the way had said so of a WireGuard message. */
function forged(left: string, right: string): Buffer {
  const message = udp(51_820, 51_820, Buffer.alloc(64));
  const body = Buffer.concat([
    Buffer.from([3, 4, 0, 0, 0, 0, 600 >> 8, 600 & 255]),
    ipv4({ src: left, dst: right, protocol: 17, payload: message }),
  ]);
  body.writeUInt16BE(checksum(body), 2);
  const packet = ipv4({ src: "192.0.2.99", dst: left, protocol: 1, payload: body });
  return ethernet({ dst: "02:00:5e:00:00:00", src: "02:00:5e:00:00:01", type: 0x0800, payload: packet });
}
