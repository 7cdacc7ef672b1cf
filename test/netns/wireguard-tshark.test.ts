/** tshark reads our packets with our key log: what is inside is WireGuard's, VXLAN's and Ethernet's, with nothing malformed. */
import { statSync } from "node:fs";
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { datagrams, transfer } from "../lab/traffic.js";
import { BAD, dissector } from "../lab/tshark.js";
import { Weft } from "../lab/weft.js";
import { endpointAt, keyPair, only, presharedKey, wireguardSection } from "../lab/wireguard.js";

t.test("tshark decrypts every packet with the key log", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  // Without offloads every datagram has its size on the wire, and its checksum is finished.
  await left.offloads(false);
  await right.offloads(false);
  const keys = [keyPair(), keyPair()] as const;
  const preshared = presharedKey();
  const keylog = lab.file("wg.keys");
  const up = async (i: 0 | 1, more: readonly string[]): Promise<Weft> => {
    const [host, peer] = i === 0 ? [left, right] : [right, left];
    const far = `10.7.0.${2 - i}`;
    return await Weft.up(lab, host, {
      more,
      config: {
        underlay: [host.v4],
        wireguard: wireguardSection(lab, {
          ...{ keys: keys[i], address: [`10.7.0.${i + 1}`] },
          peers: [
            {
              ...{ publicKey: keys[1 - i]?.public ?? "", presharedKey: preshared },
              ...{ endpoint: endpointAt(peer.v4), allowedIps: [only(far)] },
            },
          ],
        }),
        networks: [{ name: "blue", vni: 42, vteps: [far] }],
      },
    });
  };
  const file = lab.file("wg.pcap");
  const capture = right.start(["tshark", "-q", "-i", right.device, "-w", file, "-f", "udp port 51820"]);
  await capture.line(/Capturing on/);
  await until("tshark has its capture open", async () => {
    await left.run([process.execPath, "-e", DATAGRAM, right.v4]);
    return (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 200;
  });

  const wefts = await Promise.all([up(0, ["--wireguard-keylog", keylog]), up(1, [])]);
  t.match(await wefts[0].wireguard(), { keylog }, "status says where the keys go");
  t.match(wefts[0].job.text, /"level":"warn".*keylog|keylog.*"level":"warn"/i, "and the log warns of it");
  t.equal(statSync(keylog).mode & 0o777, 0o600, "for its owner only");
  const [c1, c2] = [await lab.container("c1"), await lab.container("c2")];
  const { mac } = await wefts[0].attach(c1, { network: "blue", ip: ["10.8.0.1/24", "fd00::1/64"] });
  await wefts[1].attach(c2, { network: "blue", ip: ["10.8.0.2/24", "fd00::2/64"] });
  await until("a session", async () => (await c1.ping("10.8.0.2", { count: 1 })).received === 1, 4 * 5333);
  await c1.ping("10.8.0.2", { size: 4000 });
  await c1.ping("fd00::2", { size: 4000 });
  await transfer(c1, c2, "10.8.0.2", 1e6);
  await transfer(c2, c1, "10.8.0.1", 1e6);
  await datagrams(c1, c2, "10.8.0.2", { count: 1000, size: 200, rate: 5000, flows: 4 });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await capture.kill("SIGINT");

  const dissect = await dissector(lab, left);
  const read = async (filter: string, ...fields: readonly string[]): Promise<string[][]> => {
    const words = ["-o", `wg.keylog_file:${keylog}`, "-r", file, "-Y", filter, "-T", "fields"];
    const text = await dissect(...words, ...fields.flatMap((name) => ["-e", name]));
    return text === "" ? [] : text.split("\n").map((line) => line.split("\t"));
  };
  // An empty packet, 16 octets of header and 16 of tag, is a keepalive.
  const data = await read("wg.type == 4 and udp.length > 40", "wg.receiver");
  const inside = await read("wg.type == 4 and vxlan", "vxlan.vni", "eth.src", "ip.src", "udp.dstport");
  t.ok(data.length > 2000, `${data.length} data messages`);
  t.equal(inside.length, data.length, "every one of them is VXLAN inside");
  t.same([...new Set(inside.map(([vni]) => vni))], ["42"], "with the VNI");
  // Outer and inner header of a packet stand in one field.
  t.ok(
    inside.every(([, macs]) => macs?.split(",").length === 2),
    "and an Ethernet frame in it",
  );
  t.ok(
    inside.some(([, macs]) => macs?.split(",")[1] === mac),
    "some of our container",
  );
  const tunnel = inside.map(([, , sources]) => sources?.split(",")[1] ?? "");
  t.same([...new Set(tunnel)].sort(), ["10.7.0.1", "10.7.0.2"], "between the tunnel addresses");
  t.ok(
    inside.every(([, , , ports]) => ports?.split(",").slice(0, 2).join() === "51820,4789"),
    "on the ports of WireGuard and VXLAN",
  );
  const octets = await read("icmp.type == 8", "data.len");
  t.ok(octets.length > 0, "pings can be read");
  t.same(await read(`wg.type and (${BAD})`, "frame.number"), [], "nothing malformed, every checksum right");
  const without = await dissect("-r", file, "-Y", "vxlan", "-T", "fields", "-e", "vxlan.vni");
  t.equal(without, "", "without the key log nothing of it can be read");
});

/** One datagram to the WireGuard port of an address. */
const DATAGRAM =
  "const s = require('dgram').createSocket('udp4'); s.send('x', 51820, process.argv[1], () => s.close());";
