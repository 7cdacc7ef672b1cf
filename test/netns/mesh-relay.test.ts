/** The direct path between two of three hosts is cut while TCP runs: it goes on through the third, and comes back. */
import { readFileSync } from "node:fs";
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { allReach, meshOf, pathTo, relayed, type Station, station } from "../lab/mesh.js";
import { ownShare } from "../lab/own-time.js";
import { Shaper } from "../lab/shaper.js";
import { stream, transfer } from "../lab/traffic.js";
import type { Weft } from "../lab/weft.js";

/** In front of what is sent in clear on purpose. */
const CONTROL = "in-clear:";

/** Packets of a capture file (pcap, little-endian): a header of 24 octets, and one of 16 before each with its length at 8. */
function captured(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const end = at + 16 + file.readUInt32LE(at + 8);
    packets.push(file.subarray(at + 16, end));
    at = end;
  }
  return packets;
}

t.test("over a relay and back", { timeout: 240_000 }, async (t) => {
  const lab = await Lab.open(t);
  const { hosts, shaper } = await Shaper.hosts(lab, ["left", "middle", "right"]);
  const wefts = await meshOf(lab, hosts);
  const [left, middle, right] = wefts as [Weft, Weft, Weft];
  const a = await station(lab, left, "a");
  const b = await station(lab, right, "b");
  const m = await station(lab, middle, "m");
  await allReach([a, b, m] satisfies Station[], 30_000);
  await until("a direct path", async () => (await pathTo(left, right.host.label))?.mode === "direct", 20_000);

  // What the relay sees on its wire: captured whole, searched for what was sent. Each is 16 octets long, as `ping -p` takes them.
  const secrets = { ping: "a-secret-of-ping", TCP: "a-secret-of-TCP." };
  const capture = lab.file("relay.pcap");
  const sniffer = middle.host.start(["tshark", "-q", "-i", "under0", "-w", capture, "-F", "pcap"]);
  await sniffer.line(/Capturing/);
  // It says so a little before it does; and so the search is known to find what can be read.
  for (const secret of Object.values(secrets)) {
    await until("what is in clear is found", async () => {
      await middle.host.run(["bash", "-c", `echo ${CONTROL}${secret} >/dev/udp/${left.host.v4}/9`]);
      return readFileSync(capture).includes(`${CONTROL}${secret}`);
    });
  }

  const share = ownShare();
  const running = await stream(a.container, b.container, b.v4, 12e6, 1e6, secrets.TCP);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await shaper.worsenBoth(0, 2, { kind: "cut" });
  await until("relayed", async () => (await pathTo(left, right.host.label))?.mode === "relayed", 20_000);
  await until("and back", async () => (await pathTo(right, left.host.label))?.mode === "relayed", 20_000);
  t.equal((await pathTo(left, right.host.label))?.viaName, middle.host.label, "through the middle");
  const before = await relayed(middle);
  const pattern = Buffer.from(secrets.ping).toString("hex");
  t.equal((await a.container.ping(b.v6, { size: 200, more: ["-p", pattern] })).received, 3);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  t.ok((await relayed(middle)) > before, "the relay counts what it hands on");
  await shaper.healBoth(0, 2);
  await until("direct again", async () => (await pathTo(left, right.host.label))?.mode === "direct", 20_000);
  const { sent, received } = await running.finish();
  t.equal(received.sha256, sent.sha256, "the stream has arrived whole");
  const gapMs = Math.round(received.gapMs * share());
  t.ok(gapMs < 3000, `longest gap ${gapMs} ms`);

  sniffer.child.kill("SIGINT");
  await sniffer.ended;
  const packets = captured(readFileSync(capture));
  const octets = packets.reduce((sum, { length }) => sum + length, 0);
  // Two seconds at least of the stream went in and out again there.
  t.ok(octets > 2e6, `${packets.length} packets of the relay are captured, ${octets} octets`);
  for (const [what, secret] of Object.entries(secrets)) {
    const readable = packets.filter((packet) => packet.includes(secret));
    const controls = readable.filter((packet) => packet.includes(`${CONTROL}${secret}`));
    t.not(controls.length, 0, "what is in clear is found");
    t.equal(readable.length, controls.length, `nothing of ${what} can be read on the relay's wire`);
  }

  await t.test("cut one way only", async (t) => {
    await shaper.worsen(0, 2, { kind: "cut" });
    await until("left sees it", async () => (await pathTo(left, right.host.label))?.mode === "relayed", 20_000);
    await until("right sees it", async () => (await pathTo(right, left.host.label))?.mode === "relayed", 20_000);
    const { received: answers } = await a.container.ping(b.v4);
    if (answers !== 3) {
      for (const w of wefts) t.comment(await w.ok(["status", "peers"]), await w.ok(["status", "drops"]));
      await new Promise((resolve) => setTimeout(resolve, 2000));
      for (const w of wefts) t.comment(await w.ok(["status", "peers"]), await w.ok(["status", "drops"]));
      t.comment((await a.container.ping(b.v4)).text);
    }
    t.equal(answers, 3);
    const { sent, received } = await transfer(a.container, b.container, b.v4, 2e6);
    t.equal(sent.sha256, received.sha256);
    await shaper.heal(0, 2);
    await until("direct again", async () => (await pathTo(right, left.host.label))?.mode === "direct", 20_000);
  });
});
