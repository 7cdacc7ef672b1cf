/** What we put on the wire, as Wireshark's dissectors read it; and congestion marks both ways (RFC 6040). */
import t from "tap";
import { BROADCAST, ethernet, ipv4, tunnelled, udp, untunnel } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import { datagrams, transfer } from "../lab/traffic.js";
import { BAD, dissector } from "../lab/tshark.js";
import { difference, Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

t.test("tshark decodes every datagram as VXLAN with the right VNI and finds nothing malformed", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  // Without offloads every datagram has its size on the wire, and its checksum is finished.
  await left.offloads(false);
  await right.offloads(false);
  const dissect = await dissector(lab, left);
  for (const family of [4, 6] as const) {
    const weft = await Weft.up(lab, left, {
      underlay: [left.address(family)],
      vteps: [right.address(family)],
      label: `v${family}`,
    });
    const vni = 0x12_3456 + family;
    const c1 = await lab.container("c1");
    // Among them 47000, which Wireshark knows as some other protocol's, and finds our payload malformed.
    await c1.run(["sysctl", "-qw", "net.ipv4.ip_local_port_range=46990 47055"]);
    await weft.attach(c1, { vni, ip: ["10.8.0.1/24", "fd00::1/64"] });
    const c2 = await kernelVxlan(lab, right, { peers: [left.address(family)], vni, ip: ["10.8.0.2/24", "fd00::2/64"] });
    const file = lab.file(`v${family}.pcap`);
    const capture = right.start([
      "tshark",
      "-q",
      "-i",
      right.device,
      "-w",
      file,
      "-f",
      `udp port 4789 and src host ${left.address(family)}`,
    ]);
    await capture.line(/Capturing on/);
    await until("tshark has its capture open", async () => {
      await c1.ping("10.8.0.2", { count: 1 });
      return Number(await right.run(["stat", "-c", "%s", file])) > 200;
    });
    await c1.ping("10.8.0.2", { size: 4000 });
    await c1.ping("fd00::2", { size: 4000 });
    await transfer(c1, c2, "10.8.0.2", 1e6);
    await datagrams(c1, c2, "10.8.0.2", { count: 1280, flows: 64, size: 200, rate: 5000 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await capture.kill("SIGINT");

    const fields = ["vxlan.vni", "udp.srcport", "vxlan.flags", "udp.dstport"].flatMap((name) => ["-e", name]);
    const rows = (await dissect("-r", file, "-T", "fields", ...fields)).split("\n").map((row) => row.split("\t"));
    t.ok(rows.length > 1500, `over IPv${family}: ${rows.length} datagrams`);
    t.same([...new Set(rows.map((row) => row[0]))], [`${vni}`], "all have the VNI");
    t.same([...new Set(rows.map((row) => row[2]))], ["0x0800"], "and the I flag alone");
    const found = await dissect("-r", file, "-Y", BAD, "-V");
    t.equal(found, "", "nothing malformed, every checksum right", { found: found.slice(0, 9000) });
    // What finds nothing must be able to find something.
    await left.run(["editcap", "-E", "0.01", "--seed", "7", file, `${file}.bent`]);
    t.not(await dissect("-r", `${file}.bent`, "-Y", BAD), "", "with errors put in, some are found");

    // The inner flow, not the frame, chooses the outer source port.
    const flows = await dissect(
      ...["-r", file, "-Y", "udp.length == 208"],
      ...["-T", "fields", "-E", "occurrence=a", "-e", "udp.srcport"],
    );
    const outer = new Map<string, Set<string>>();
    for (const line of flows.split("\n")) {
      const [outside = "", inside = ""] = line.split(",");
      outer.set(inside, (outer.get(inside) ?? new Set()).add(outside));
    }
    t.equal(outer.size, 64, "64 inner flows");
    t.ok(
      [...outer.values()].every((ports) => ports.size === 1),
      "one flow keeps one source port",
    );
    const used = new Set([...outer.values()].flatMap((ports) => [...ports]));
    t.ok(used.size >= 10, `64 flows use ${used.size} source ports`);
    t.ok(
      [...used].every((port) => Number(port) >= 49152),
      "all of them dynamic ports (RFC 7348 §5)",
    );
    await weft.kill("SIGTERM");
    await c2.run("ip link del eth0");
  }
});

t.test("congestion marks go out and come in as RFC 6040 says", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const weft = await Weft.up(lab, left, { vteps: [right.v4] });
  const c1 = await lab.container("c1");
  await weft.attach(c1, { ip: ["10.8.0.1/24"] });
  await left.ping(right.v4, { count: 1 });
  const underlay = await Wire.open(lab, right, right.device);
  const inside = await Wire.open(lab, c1);
  const packet = (tos: number, mark: number): Buffer => {
    const payload = udp(1000 + mark, 2000, Buffer.from(`mark ${mark}`));
    return ethernet({
      dst: BROADCAST,
      src: "02:00:00:00:00:77",
      type: 0x0800,
      payload: ipv4({ src: "10.8.0.7", dst: "10.8.0.255", tos, protocol: 17, payload }),
    });
  };
  const tosOf = (frame: Buffer, mark: number): number | undefined =>
    frame.includes(`mark ${mark}`) && frame.readUInt16BE(12) === 0x0800 ? frame.readUInt8(15) : undefined;

  let mark = 0;
  for (const ecn of [0, 1, 2, 3]) {
    await inside.send(packet(0b1010_0000 | ecn, ++mark));
    const seen = await until(`mark ${mark} on the underlay`, () =>
      underlay.frames.map(untunnel).find((d) => d?.inner.includes(`mark ${mark}`)),
    );
    t.equal(seen?.tos, ecn, `out: inner ${ecn} gives outer ${ecn}, and no DSCP`);
    t.equal(seen?.inner.readUInt8(15), 0b1010_0000 | ecn, "the inner octet is untouched");
  }

  // RFC 6040 §4.2, figure 4: what leaves the tunnel, by inner (rows) and outer (columns) mark; undefined: dropped.
  const figure: readonly (readonly (number | undefined)[])[] = [
    [0, 0, 0, undefined],
    [1, 1, 1, 3],
    [2, 1, 2, 3],
    [3, 3, 3, 3],
  ];
  const tunnel = {
    srcMac: await right.mac("under0"),
    dstMac: await left.mac("under0"),
    src: right.v4,
    dst: left.v4,
    vni: 42,
  };
  for (const [inner, row] of figure.entries()) {
    for (const [outer, expected] of row.entries()) {
      const before = await weft.losses();
      await underlay.send(tunnelled({ ...tunnel, tos: outer }, packet(inner, ++mark)));
      const what = `in: inner ${inner}, outer ${outer}`;
      if (expected === undefined) {
        await until(
          "the drop is counted",
          async () => (difference(before, await weft.losses())["ingress ecn_ce"] ?? 0) === 1,
        );
        t.notOk(
          inside.frames.some((frame) => tosOf(frame, mark) !== undefined),
          `${what}: dropped and counted`,
        );
      } else {
        const tos = await until(what, () =>
          inside.frames.map((frame) => tosOf(frame, mark)).find((found) => found !== undefined),
        );
        t.equal(tos, expected, what);
      }
    }
  }
});
