/**
 * wireguard-go is the judge: weft on one host, on the other wireguard-go and the kernel's vxlan device over its tunnel.
 *
 * The long form sends 100 MB each way and waits for the rekeys that time asks for (120 s); the short one sends 20 MB and
 * rekeys after a number of messages.
 */
import t, { type Test } from "tap";
import { BROADCAST, ethernet } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { type Host, Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { datagrams } from "../lab/traffic.js";
import { pingsOfAllSizes, streams } from "../lab/tunnel.js";
import { Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";
import { endpointAt, keyPair, only, PORT, presharedKey, wireguardSection } from "../lab/wireguard.js";
import { WireguardGo } from "../lab/wireguard-go.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
/** Octets that weft tells its containers of 1500 inside an IPv4 tunnel over IPv4. */
const MTU = 1390;
/** The first try of a handshake, and one more after the paper's Rekey-Timeout with its jitter. */
const HANDSHAKE_MS = 4 * 5333;

interface Wish {
  /** Who knows where the other is, and so begins. */
  readonly begins: "weft" | "wireguard-go";
  readonly isPreshared?: boolean;
  readonly rekeyAfterMessages?: number;
}

interface Scene {
  readonly lab: Lab;
  readonly left: Host;
  readonly right: Host;
  readonly weft: Weft;
  readonly judge: WireguardGo;
  /** 10.8.0.1 and fd00::1, a port of weft. */
  readonly c1: Namespace;
  /** 10.8.0.2 and fd00::2, the kernel's vxlan device in wireguard-go's tunnel. */
  readonly c2: Namespace;
}

async function scene(t: Test, { begins, isPreshared, rekeyAfterMessages }: Wish): Promise<Scene> {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const [ours, theirs] = [keyPair(), keyPair()];
  const common = isPreshared ? { presharedKey: presharedKey() } : {};
  const judge = await WireguardGo.up(lab, right, {
    keys: theirs,
    address: ["10.7.0.2/24"],
    peers: [
      {
        ...{ publicKey: ours.public, allowedIps: [only("10.7.0.1")], ...common },
        ...(begins === "wireguard-go" ? { endpoint: endpointAt(left.v4) } : {}),
      },
    ],
  });
  const weft = await Weft.up(lab, left, {
    keep: true,
    config: {
      underlay: [left.v4],
      wireguard: wireguardSection(lab, {
        keys: ours,
        address: ["10.7.0.1"],
        ...(rekeyAfterMessages === undefined ? {} : { rekeyAfterMessages }),
        peers: [
          {
            ...{ publicKey: theirs.public, allowedIps: [only("10.7.0.2")], ...common },
            ...(begins === "weft" ? { endpoint: endpointAt(right.v4) } : {}),
          },
        ],
      }),
      networks: [{ name: "blue", vni: 42, vteps: ["10.7.0.2"] }],
    },
  });
  const c1 = await lab.container("c1");
  const { mtu } = await weft.attach(c1, { network: "blue", ip: ["10.8.0.1/24", "fd00::1/64"] });
  t.equal(mtu, MTU, "the MTU accounts for everything");
  if (begins === "wireguard-go") {
    // Before the other container is there: its kernel begins to talk at once.
    await c1.ping("10.8.0.2", { count: 1 });
    t.ok(((await weft.losses())["egress no_session"] ?? 0) > 0, "nobody has told us where they are");
    t.match(await weft.peer(), { session: "none", endpoint: null, lastHandshake: null });
  }
  const c2 = await kernelVxlan(lab, right, {
    ...{ local: "10.7.0.2", peers: ["10.7.0.1"], mtu: MTU, label: "c2" },
    ip: ["10.8.0.2/24", "fd00::2/64"],
  });
  return { lab, left, right, weft, judge, c1, c2 };
}

/** Waits until a ping is answered, and says how long that took, in milliseconds. */
async function answer(from: Namespace, address: string, withinMs = HANDSHAKE_MS): Promise<number> {
  const started = performance.now();
  const asked = async (): Promise<boolean> => (await from.ping(address, { count: 1 })).received === 1;
  await until(`${from.label} reaches ${address}`, asked, withinMs);
  return performance.now() - started;
}

t.test("they begin, with a preshared key: `wg show` and our counters agree", async (t) => {
  const { weft, judge, c1, c2 } = await scene(t, { begins: "wireguard-go", isPreshared: true });
  const beganMs = await answer(c2, "10.8.0.1");
  t.comment(`their first answer after ${Math.round(beganMs)} ms`);
  for (const size of [1, 700, 1362, 8000]) t.equal((await c1.ping("10.8.0.2", { size })).received, 3, `${size} octets`);
  // A keepalive or two may be under way.
  await until("both sides count the same octets", async () => {
    const [ours, theirs] = [await weft.peer(), await judge.peer()];
    const isSame = ours.receive.bytes === theirs.sent && ours.transmit.bytes === theirs.received;
    if (!isSame) throw new Error(JSON.stringify({ ours, theirs }));
    return true;
  });
  const [ours, theirs] = [await weft.peer(), await judge.peer()];
  t.match(ours, { session: "established", endpoint: `192.0.2.2:${PORT}`, presharedKey: true });
  const apartMs = Math.abs((ours.lastHandshake ?? 0) - theirs.latestHandshake * 1000);
  t.ok(apartMs < 2000, `the same last handshake, ${apartMs} ms apart`);
  const { handshakes } = (await weft.status()).counters.wireguard ?? { handshakes: [] };
  t.ok(handshakes.some((h) => h.role === "responder" && h.result === "completed" && h.count > 0));
});

t.test("we begin: every size, and TCP both ways", async (t) => {
  const { weft, judge, c1, c2 } = await scene(t, { begins: "weft" });
  await answer(c1, "10.8.0.2");
  for (const [from, to, v4, v6] of [
    [c1, c2, "10.8.0.2", "fd00::2"],
    [c2, c1, "10.8.0.1", "fd00::1"],
  ] as const) {
    await pingsOfAllSizes(t, [from, to, v4], MTU);
    await pingsOfAllSizes(t, [from, to, v6], MTU);
  }
  const ways = [
    [c1, c2, "10.8.0.2"],
    [c2, c1, "10.8.0.1"],
  ] as const;
  await streams(t, ways, LONG ? 100e6 : 20e6);
  // What a queue on the way lost was sent and not received.
  const [ours, theirs] = [await weft.peer(), await judge.peer()];
  t.ok(ours.transmit.bytes >= theirs.received, `${ours.transmit.bytes} octets sent, ${theirs.received} received`);
  t.ok(theirs.sent >= ours.receive.bytes, `${theirs.sent} octets sent, ${ours.receive.bytes} received`);
  t.equal((await weft.losses())["ingress auth_failed"], 0, "and every one of them was authentic");
});

t.test("addresses and ports change on either side while they talk", async (t) => {
  const { weft, judge, left, right, c1, c2 } = await scene(t, { begins: "weft" });
  await answer(c1, "10.8.0.2");
  const where = async (endpoint: string): Promise<void> => {
    await until(`we know them at ${endpoint}`, async () => (await weft.peer()).endpoint === endpoint);
  };

  await judge.set("listen-port", "51998");
  await answer(c2, "10.8.0.1");
  await where("192.0.2.2:51998");
  t.equal((await c1.ping("10.8.0.2")).received, 3, "their port has changed: we answer there, and begin there");

  await right.run("ip addr del 192.0.2.2/24 dev under0");
  await right.run("ip addr add 192.0.2.12/24 dev under0");
  // This wireguard-go goes on sending from the address that it was once asked at, until its socket is a new one.
  await judge.set("listen-port", "51999");
  await answer(c2, "10.8.0.1");
  await where("192.0.2.12:51999");
  t.equal((await c1.ping("10.8.0.2")).received, 3, "their address has changed");

  await left.run("ip addr del 192.0.2.1/24 dev under0");
  await left.run("ip addr add 192.0.2.11/24 dev under0");
  await answer(c1, "10.8.0.2");
  await until("they know us there", async () => (await judge.peer()).endpoint === `192.0.2.11:${PORT}`);
  t.equal((await c2.ping("10.8.0.1")).received, 3, "our address has changed");
  const { roams } = (await weft.status()).counters.wireguard ?? { roams: 0 };
  t.ok(roams >= 2, `${roams} roams are counted`);
});

const rekeys = async (weft: Weft): Promise<number> => (await weft.status()).counters.wireguard?.rekeys ?? 0;

/** Traffic both ways for a while; not one datagram is lost, doubled or damaged. */
async function rekeyed(t: Test, { weft, c1, c2 }: Scene, seconds: number, wanted: number): Promise<void> {
  await answer(c1, "10.8.0.2");
  const before = await rekeys(weft);
  const spec = { rate: 250, count: 250 * seconds, size: 900 };
  const runs = await Promise.all([datagrams(c1, c2, "10.8.0.2", spec), datagrams(c2, c1, "10.8.0.1", spec)]);
  for (const [i, { sent, received, duplicates, damaged }] of runs.entries()) {
    const got = { received, duplicates, damaged };
    t.same(got, { received: sent, duplicates: 0, damaged: 0 }, `${i === 0 ? "to" : "from"} them: nothing is lost`);
  }
  const made = (await rekeys(weft)) - before;
  t.ok(made >= wanted, `${made} new keys in ${seconds} s, at least ${wanted} wanted`);
}

// A peer is not asked for a new key more often than every 5 s (Rekey-Timeout).
t.test("new keys after some messages, and nothing is lost", async (t) => {
  await rekeyed(t, await scene(t, { begins: "weft", rekeyAfterMessages: 500 }), 12, 2);
});

if (LONG) {
  t.test("new keys after 120 s, and nothing is lost", { timeout: 400_000 }, async (t) => {
    await rekeyed(t, await scene(t, { begins: "weft" }), 260, 2);
  });
}

t.test("either side is started again, or is not there", async (t) => {
  const { lab, weft, judge, right, c1, c2 } = await scene(t, { begins: "weft" });
  const before = await answer(c1, "10.8.0.2");
  t.comment(`first answer after ${Math.round(before)} ms`);

  await weft.kill("SIGKILL");
  await weft.again();
  t.pass(`we again: an answer after ${Math.round(await answer(c1, "10.8.0.2"))} ms`);

  await judge.stop();
  await judge.start();
  // They have forgotten where we are: as in a network, what is configured there says so.
  await judge.set("peer", (await weft.wireguard()).publicKey, "endpoint", endpointAt(weft.host.v4));
  t.pass(`they again: an answer after ${Math.round(await answer(c2, "10.8.0.1"))} ms`);
  t.equal((await c1.ping("10.8.0.2")).received, 3, "and we use their new key");

  await judge.stop();
  await weft.kill("SIGKILL");
  const wire = await Wire.open(lab, right, right.device);
  await weft.again();
  const inside = await Wire.open(lab, c1);
  const mark = "in clear";
  const frame = ethernet({ dst: BROADCAST, src: "02:00:00:00:00:09", payload: Buffer.from(mark.padEnd(60, "\0")) });
  await inside.send(...Array.from({ length: 20 }, () => frame));
  t.equal((await c1.ping("10.8.0.2", { count: 5 })).received, 0);
  t.ok(((await weft.losses())["egress no_session"] ?? 0) >= 20, "without a session frames are dropped, by name");
  const initiations = wire.frames.filter((f) => f.length === 14 + 20 + 8 + 148);
  t.ok(initiations.length > 0, "the capture works: initiations went out");
  t.notOk(
    wire.frames.some((f) => f.includes(mark)),
    "no frame in clear",
  );
  const vxlan = wire.frames.filter((f) => f.readUInt16BE(12) === 0x0800 && f.readUInt16BE(36) === 4789);
  t.equal(vxlan.length, 0, "nothing for the port of VXLAN");
});
