/**
 * A layer-3 port against real kernels: the container's TUN device at one end; a TAP port of the same host, a container of another
 * weft, and the kernel's vxlan device at the other.
 */
import t, { type Test } from "tap";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { transfer } from "../lab/traffic.js";
import { Weft } from "../lab/weft.js";

/** 10.8.0.n and fd00::n. */
const addresses = (n: number): string[] => [`10.8.0.${n}/24`, `fd00::${n}/64`];

async function pings(t: Test, from: Namespace, to: Namespace, n: number): Promise<void> {
  for (const address of [`10.8.0.${n}`, `fd00::${n}`]) {
    for (const [size, whole] of [
      [56, true],
      [1372, true],
      [8000, false],
    ] as const) {
      const { sent, received, duplicates, text } = await from.ping(address, { size, whole });
      t.ok(
        received >= sent - 1 && duplicates === 0,
        `${from.label} → ${to.label}, ${address}, ${size} octets: ${text}`,
      );
    }
    const { sent, received } = await from.ping(address);
    t.equal(received, sent, `${from.label} → ${to.label}, ${address}: all, once the MAC is known`);
  }
}

async function streams(t: Test, a: Namespace, b: Namespace, n: readonly [number, number]): Promise<void> {
  for (const [from, to, address] of [
    [a, b, `10.8.0.${n[1]}`],
    [b, a, `fd00::${n[0]}`],
  ] as const) {
    const { sent, received } = await transfer(from, to, address, 100e6);
    t.equal(received.bytes, 100e6, `${from.label} → ${to.label}, ${address}: every octet`);
    t.equal(received.sha256, sent.sha256, `${from.label} → ${to.label}, ${address}: the same octets`);
  }
}

t.test("a layer-3 port, and everybody it can talk to", async (t) => {
  const lab = await Lab.open(t);
  const [left, middle, right] = await lab.hosts("left", "middle", "right");
  const weft = await Weft.up(lab, left, { vteps: [middle.address(4), right.address(4)], keep: true });
  const far = await Weft.up(lab, middle, { vteps: [left.address(4), right.address(4)] });
  const c1 = await lab.container("c1");
  const c2 = await lab.container("c2");
  const c3 = await lab.container("c3");
  const port = await weft.attach(c1, { ip: addresses(1), id: "routed", more: ["--l3", "--gateway", "10.8.0.3"] });
  t.match(port, { l3: true, role: "container", ifname: "eth0" });
  await weft.attach(c2, { ip: addresses(2), more: ["--gateway", "10.8.0.1"] });
  await far.attach(c3, { ip: addresses(3) });
  const c4 = await kernelVxlan(lab, right, { peers: [left.address(4), middle.address(4)], ip: addresses(4) });
  t.match(await c1.run("ip -d link show eth0"), /tun type tun/, "its device is a TUN");

  const others = [
    [c2, 2, "a port of the same host"],
    [c3, 3, "a port of another host"],
    [c4, 4, "a kernel's VXLAN device"],
  ] as const;
  for (const [other, n, what] of others) {
    await t.test(what, async (t) => {
      await pings(t, c1, other, n);
      await pings(t, other, c1, 1);
      await streams(t, c1, other, [1, n]);
    });
  }

  await t.test("beyond its own prefixes packets go to the gateway", async (t) => {
    await c3.run("ip addr add 198.51.100.7/32 dev lo");
    t.ok((await c1.ping("198.51.100.7", { count: 4 })).received >= 3);
  });

  await t.test("a renamed one is found again after the daemon was killed", async (t) => {
    await weft.kill("SIGKILL");
    await c1.run("ip link set eth0 name lan0");
    await weft.again();
    const [again] = (await weft.status()).ports.filter((p) => p.id === "routed");
    t.match(again, { l3: true, ifname: "lan0", mac: port.mac });
    t.ok((await c1.ping("10.8.0.2", { count: 4 })).received >= 3);
    t.ok((await c1.ping("fd00::2", { count: 4 })).received >= 3);
    await weft.detach("routed");
    t.notMatch(await c1.run("ip link"), /lan0/, "and it goes when it is detached");
  });
});
