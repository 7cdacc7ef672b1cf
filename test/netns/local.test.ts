/** One host: containers talk through the switch, come and go under traffic, and leave nothing behind. */
import t from "tap";
import { BROADCAST, ethernet } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { datagrams, transfer } from "../lab/traffic.js";
import { Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

t.test("two containers on one host talk through the switch, and every frame is counted", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host);
  const [c1, c2] = [await lab.container("c1"), await lab.container("c2")];
  const first = await weft.attach(c1, { id: "c1", ip: ["10.8.0.1/24", "fd00::1/64"] });
  t.match(first, { id: "c1", network: "vni-42", state: "up", ifname: "eth0", mtu: 1450 }, "attach tells what it made");
  await weft.attach(c2, { id: "c2", ip: ["10.8.0.2/24", "fd00::2/64"] });
  const [device] = await c1.devices();
  t.match(device, { name: "eth0", mac: first.mac, mtu: 1450, up: true }, "the container sees the same");
  t.same(device?.addresses, ["10.8.0.1/24", "fd00::1/64"], "with its addresses");
  for (const size of [56, 1422, 8000]) {
    t.equal((await c1.ping("10.8.0.2", { size })).received, 3, `IPv4, ${size} octets`);
    t.equal((await c2.ping("fd00::1", { size })).received, 3, `IPv6, ${size} octets`);
  }
  const before = (await weft.status()).counters.ports;
  const { sent, received } = await transfer(c1, c2, "10.8.0.2", 50e6);
  t.equal(received.sha256, sent.sha256, "50 MB over TCP arrive with the same hash");
  const grown = (await weft.status()).counters.ports.map((port) => {
    const old = before.find((b) => b.id === port.id);
    return {
      id: port.id,
      receive: port.receive.bytes - (old?.receive.bytes ?? 0),
      transmit: port.transmit.bytes - (old?.transmit.bytes ?? 0),
    };
  });
  t.ok((grown.find((p) => p.id === "c1")?.receive ?? 0) > 50e6, "the sender's port received them into the switch");
  t.ok((grown.find((p) => p.id === "c2")?.transmit ?? 0) > 50e6, "the receiver's port was given them");
});

t.test("a container is attached and detached while others talk: nobody loses a frame", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host);
  const [c1, c2, c3] = [await lab.container("c1"), await lab.container("c2"), await lab.container("c3")];
  await weft.attach(c1, { ip: ["10.8.0.1/24"] });
  await weft.attach(c2, { ip: ["10.8.0.2/24"] });
  // The kernel lets a datagram overtake those that wait for an answer to ARP.
  await c1.ping("10.8.0.2");
  const running = datagrams(c1, c2, "10.8.0.2", { count: 9000, rate: 3000, size: 500 });
  for (let round = 0; round < 3; round++) {
    await weft.attach(c3, { id: "c3", ip: ["10.8.0.3/24"] });
    t.equal((await c3.ping("10.8.0.1")).received, 3, "the new one talks at once");
    await weft.detach("c3");
    t.same(await c3.devices(), [], "and its device is gone after detach");
  }
  const run = await running;
  t.equal(run.sent, 9000);
  t.match(run, { received: 9000, duplicates: 0, reordered: 0 }, "the others' datagrams all arrived, in order");
});

t.test("one container in several networks: two devices that do not see each other", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host, {
    config: {
      underlay: [host.v4],
      networks: [
        { name: "blue", vni: 42 },
        { name: "green", vni: 43 },
      ],
    },
  });
  const [both, blue, green] = [await lab.container("both"), await lab.container("blue"), await lab.container("green")];
  await weft.attach(both, { network: "blue", ip: ["10.8.0.1/24"] });
  await weft.attach(both, { network: "green", ip: ["10.9.0.1/24"], ifname: "eth1" });
  await weft.attach(blue, { network: "blue", ip: ["10.8.0.2/24"] });
  await weft.attach(green, { network: "green", ip: ["10.9.0.2/24"] });
  t.equal((await both.ping("10.8.0.2")).received, 3, "over the first device");
  t.equal((await both.ping("10.9.0.2")).received, 3, "over the second");
  const wires = {
    both0: await Wire.open(lab, both, "eth0"),
    both1: await Wire.open(lab, both, "eth1"),
    green: await Wire.open(lab, green),
  };
  const sender = await Wire.open(lab, blue);
  await sender.send(ethernet({ dst: BROADCAST, src: "02:00:00:00:00:0b" }));
  await wires.both0.next("the broadcast of its own network", () => true);
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(wires.both0.own.length, 1, "once");
  t.equal(wires.both1.own.length + wires.green.own.length, 0, "nothing of it in the other network");
});

t.test("detach gives everything back", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host, { keep: true });
  const hostBefore = await host.devices();
  const [c1, c2] = [await lab.container("c1"), await lab.container("c2")];
  const attachment = {
    ip: ["10.8.0.1/24"],
    more: ["--gateway", "10.8.0.254", "--route", "198.51.100.0/24=10.8.0.253"],
  };
  await weft.attach(c1, { id: "first", ...attachment });
  await weft.attach(c1, { id: "second", ip: ["10.9.0.1/24"], vni: 43, ifname: "eth1" });
  await weft.attach(c2, { id: "third", ip: ["10.8.0.2/24"] });
  t.same(await host.devices(), hostBefore, "an attached device is not in the host's namespace");
  t.match(
    await c1.routes(),
    [/^default via 10\.8\.0\.254/, /^10\.8\.0\.0\/24/, /^10\.9\.0\.0\/24/, /^198\.51\.100\.0\/24 via 10\.8\.0\.253/],
    "the routes are there",
  );
  await c1.ping("10.8.0.2");
  const network = 'weft_network_receive_packets_total{network="vni-42"}';
  const series = await weft.metrics();
  t.ok(
    [...series.keys()].some((name) => name.includes('port="first"')),
    "the port has series",
  );
  const total = (await weft.status()).counters.networks.find((n) => n.network === "vni-42")?.receive.packets ?? 0;

  await weft.detach(c1.name);
  t.same(await c1.devices(), [], "a namespace as target: all its devices are gone");
  t.same(await c1.routes(), [], "and their routes");
  t.same(await host.devices(), hostBefore, "none came back into the host's namespace");
  t.same(
    (await weft.status()).ports.map((port) => port.id),
    ["third"],
    "only the other port is left",
  );
  const after = await weft.metrics();
  t.notOk(
    [...after.keys()].some((name) => name.includes('port="first"')),
    "its series are gone",
  );
  const later = (await weft.status()).counters.networks.find((n) => n.network === "vni-42")?.receive.packets ?? 0;
  t.ok(later >= total && total > 0, "the network's totals never go back");
  t.ok((after.get(network) ?? later) >= (series.get(network) ?? 0), "nor do its series");
  await weft.detach("first");
  await weft.detach(c1.name);
  t.pass("detach of what is not there is no error");

  const again = await weft.attach(c1, { id: "first", ip: ["10.8.0.1/24"] });
  t.equal(again.state, "up", "the same id, name and address can be attached again");
  t.equal((await c1.ping("10.8.0.2")).received, 3, "and talk");
  await weft.ok(["down"]);
  await weft.job.endsWithin(20_000);
  await until("no device is left", async () => (await c1.devices()).length + (await c2.devices()).length === 0);
  t.same(await host.devices(), hostBefore, "`weft down` leaves nothing in the host's namespace either");
});
