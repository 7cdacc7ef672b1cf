/** The key log of either side opens everything for Wireshark; hosts and network are doubles, tshark is the judge. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { type HostDouble, pair } from "../models/wireguard.js";

/** A capture of raw IPv4 (https://wiki.wireshark.org/Development/LibpcapFileFormat). */
function capture(hosts: readonly HostDouble[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2_c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65_535, 16);
  head.writeUInt32LE(101, 20);
  const all = hosts.flatMap((host) => host.sent.map((one) => ({ ...one, host }))).sort((a, b) => a.at - b.at);
  const packets = all.map(({ host, datagram, to, at }) => {
    const packet = Buffer.alloc(16 + 28);
    const length = 28 + datagram.length;
    packet.writeUInt32LE(Math.floor(at / 1000), 0);
    packet.writeUInt32LE(Math.floor(at % 1000) * 1000, 4);
    packet.writeUInt32LE(length, 8);
    packet.writeUInt32LE(length, 12);
    packet.writeUInt16BE(0x4500, 16);
    packet.writeUInt16BE(length, 18);
    packet.writeUInt16BE(0x4011, 24);
    for (const [i, address] of [host.address, to.address].entries())
      packet.set(address.split(".").map(Number), 28 + 4 * i);
    packet.writeUInt16BE(host.port, 36);
    packet.writeUInt16BE(to.port, 38);
    packet.writeUInt16BE(length - 20, 40);
    return Buffer.concat([packet, datagram]);
  });
  return Buffer.concat([head, ...packets]);
}

t.test("tshark opens handshakes and data with the key log of one side", async (t) => {
  for (const side of ["a", "b"] as const) {
    for (const isPreshared of [false, true]) {
      let lines = "";
      const keylog = (more: string): void => {
        lines += more;
      };
      const preshared = isPreshared ? { preshared: Buffer.alloc(32, 7) } : {};
      const { world, a, b } = pair(1, { [side]: { keylog }, ...preshared });
      a.data(0);
      world.run(100);
      for (const host of [a, b]) for (let i = 0; i < 5; i++) host.data(0, i);
      world.run(6_000);
      b.engine.initiateNow(0);
      world.run(100);
      a.data(0);
      world.run(100);
      const folder = t.testdir({});
      writeFileSync(join(folder, "capture.pcap"), capture([a, b]));
      writeFileSync(join(folder, "keys"), lines);
      const fields = ["wg.type", "wg.static.known_pubkey", "wg.timestamp.value", "wg.keepalive", "ip.version"];
      const run = spawnSync(
        "tshark",
        [
          ...["-r", join(folder, "capture.pcap"), "-o", `wg.keylog_file:${join(folder, "keys")}`],
          ...["-T", "fields", "-E", "separator=/t", ...fields.flatMap((name) => ["-e", name])],
        ],
        { encoding: "utf8" },
      );
      const rows = run.stdout
        .trim()
        .split("\n")
        .map((row) => row.split("\t"));
      const what = `${side}, ${isPreshared ? "with" : "without"} a preshared key`;
      t.equal(rows.length, a.sent.length + b.sent.length, `${what}: ${run.stderr}`);
      const data = rows.filter(([type]) => type === "4");
      t.equal(data.length, 11 + 2, `${what}: data and keepalives`);
      t.equal(data.filter((row) => row[4] === "4,4").length, 11, `${what}: an IP packet inside`);
      t.ok(
        rows.filter(([type]) => type === "1").every((row) => row[2] !== ""),
        `${what}: the time in initiations`,
      );
    }
  }
});
