/** A path becomes narrower while TCP runs: it goes on, what is too long is told of, and what strangers tell is not believed. */
import t from "tap";
import { checksum, ethernet, ipv4, udp } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { allReach, meshOf, type PathRow, station } from "../lab/mesh.js";
import { Shaper } from "../lab/shaper.js";
import { stream, transfer } from "../lab/traffic.js";
import type { Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

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
  const running = await stream(a.container, b.container, b.v4, 10e6, 1e6);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await shaper.worsenBoth(0, 1, { kind: "limit", octets: 1280 });
  await until("the path is narrower", async () => (await mtu()) < wide && (await mtu()) <= 1280 - 60, 20_000);
  const { sent, received } = await running.finish();
  t.equal(received.sha256, sent.sha256, "TCP goes on");
  t.comment(`longest gap ${Math.round(received.gapMs)} ms`);

  const large = await a.container.attempt(`ping -n -c 2 -W 1 -M do -s 1400 ${b.v4}`);
  t.match(
    `${large.stdout}${large.stderr}`,
    /Frag needed|message too long/i,
    "a 1400-octet ping that must not be cut is told",
  );
  t.match(
    `${large.stdout}${large.stderr}`,
    new RegExp(`From ${b.v4.replaceAll(".", "\\.")}|message too long`),
    "by its destination",
  );
  const large6 = await a.container.attempt(`ping -n -c 2 -W 1 -M do -s 1400 ${b.v6}`);
  t.match(`${large6.stdout}${large6.stderr}`, /Packet too big|message too long/i);

  // A stranger on the underlay says that the path is narrower still: nothing reads that.
  const told = await mtu();
  const wire = await Wire.open(lab, right.host, "under0");
  await wire.send(...Array.from({ length: 20 }, () => forged(left.host.v4, right.host.v4)));
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
