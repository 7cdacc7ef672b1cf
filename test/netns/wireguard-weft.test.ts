/** weft to weft through WireGuard: every family outside and inside, several workers, and plaintext networks beside. */
import { readFileSync, writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { BROADCAST, ethernet } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { datagrams, transfer } from "../lab/traffic.js";
import { pingsOfAllSizes, streams } from "../lab/tunnel.js";
import { Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";
import { endpointAt, type KeyPair, keyPair, only, wireguardSection } from "../lab/wireguard.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const BYTES = LONG ? 100e6 : 10e6;
const HANDSHAKE_MS = 4 * 5333;

interface Wish {
  readonly underlay: 4 | 6;
  readonly tunnel: 4 | 6;
  readonly workers?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** A network without encryption beside: VNI 43, 10.9.0.0/24. */
  readonly isMixed?: boolean;
}

interface Side {
  readonly host: Host;
  readonly weft: Weft;
  /** Contents of its configuration file. */
  readonly config: object;
  readonly keys: KeyPair;
  /** In the encrypted network; 10.8.0.1 and fd00::1 at the left, .2 and ::2 at the right. */
  readonly secret: Namespace;
  /** In the network without encryption, if there is one; 10.9.0.1 and .2. */
  readonly open: Namespace;
}

const LABELS = ["left", "right"] as const;

async function scene(t: Test, wish: Wish): Promise<{ lab: Lab; left: Side; right: Side; mtu: number }> {
  const { underlay, tunnel, workers = 1, env = {}, isMixed = false } = wish;
  const lab = await Lab.open(t);
  const hosts = await lab.hosts(...LABELS);
  const keys = [keyPair(), keyPair()] as const;
  const inside = (i: number): string => (tunnel === 4 ? `10.7.0.${i + 1}` : `fd07::${i + 1}`);
  let mtu = 0;
  const side = async (i: 0 | 1): Promise<Side> => {
    const far = 1 - i;
    const [host, peer] = [hosts[i], hosts[far] as Host];
    const config = {
      underlay: [host.address(underlay)],
      workers,
      wireguard: wireguardSection(lab, {
        keys: keys[i],
        address: [inside(i)],
        peers: [
          {
            publicKey: (keys[far] as KeyPair).public,
            endpoint: endpointAt(peer.address(underlay)),
            allowedIps: [only(inside(far))],
          },
        ],
      }),
      networks: [
        { name: "blue", vni: 42, vteps: [inside(far)] },
        ...(isMixed ? [{ name: "plain", vni: 43, encryption: "none", vteps: [peer.address(underlay)] }] : []),
      ],
    };
    const weft = await Weft.up(lab, host, { config, env });
    const secret = await lab.container(`${host.label}-secret`);
    const open = await lab.container(`${host.label}-open`);
    ({ mtu } = await weft.attach(secret, { network: "blue", ip: [`10.8.0.${i + 1}/24`, `fd00::${i + 1}/64`] }));
    if (isMixed) await weft.attach(open, { network: "plain", ip: [`10.9.0.${i + 1}/24`] });
    return { host, weft, config, keys: keys[i], secret, open };
  };
  const [left, right] = await Promise.all([side(0), side(1)]);
  await until("a session", async () => (await left.secret.ping("10.8.0.2", { count: 1 })).received === 1, HANDSHAKE_MS);
  return { lab, left, right, mtu };
}

/** Nothing that had to be authentic was not, and the law of the data path holds. */
async function isSound(t: Test, ...sides: readonly Side[]): Promise<void> {
  for (const { weft, host } of sides) {
    await until(`the law holds on ${host.label}`, async () => {
      const { law } = (await weft.status()).counters;
      return Object.values(law).every((p) => p.in + p.made - p.out - p.consumed - p.merged - p.drops === 0);
    });
    const losses = await weft.losses();
    for (const reason of ["auth_failed", "replay", "allowed_ips", "plaintext_refused", "tunnel_packet"])
      t.equal(losses[`ingress ${reason}`], 0, `${host.label}: ${reason}`);
  }
}

/** Octets of an inner frame, less by 50 for VXLAN, 32 for WireGuard, and the IP and UDP headers around both. */
const MTUS = { 44: 1390, 46: 1370, 64: 1370, 66: 1350 } as const;

for (const underlay of [4, 6] as const) {
  for (const tunnel of [4, 6] as const) {
    t.test(`IPv${underlay} underlay, IPv${tunnel} inside the tunnel`, async (t) => {
      const { left, right, mtu } = await scene(t, { underlay, tunnel });
      t.equal(mtu, MTUS[`${underlay}${tunnel}` as unknown as keyof typeof MTUS], "the MTU accounts for everything");
      await pingsOfAllSizes(t, [left.secret, right.secret, "10.8.0.2"], mtu);
      await pingsOfAllSizes(t, [right.secret, left.secret, "fd00::1"], mtu);
      const ways = [
        [left.secret, right.secret, "10.8.0.2"],
        [right.secret, left.secret, "fd00::1"],
      ] as const;
      await streams(t, ways, BYTES);
      await isSound(t, left, right);
    });
  }
}

for (const disabled of ["", "reuseportSteering", ...(LONG ? ["gso,gro"] : [])]) {
  const what = disabled === "" ? "" : `, without ${disabled}`;
  t.test(`two workers, and a plaintext network beside the encrypted one${what}`, async (t) => {
    const env = { WEFT_DISABLE: disabled };
    const { lab, left, right } = await scene(t, { underlay: 4, tunnel: 4, workers: 2, env, isMixed: true });
    const wire = await Wire.open(lab, right.host, right.host.device);
    const [inSecret, inOpen] = [await Wire.open(lab, left.secret), await Wire.open(lab, left.open)];
    const [atSecret, atOpen] = [await Wire.open(lab, right.secret), await Wire.open(lab, right.open)];
    const frame = (mark: string): Buffer =>
      ethernet({ dst: BROADCAST, src: "02:00:00:00:00:09", payload: Buffer.from(mark.padEnd(60, "\0")) });
    await inSecret.send(frame("secret"));
    await inOpen.send(frame("open"));
    await atSecret.next("the frame of the encrypted network", (f) => f.payload.includes("secret"));
    await atOpen.next("the frame of the other network", (f) => f.payload.includes("open"));
    t.equal(atSecret.own.length + atOpen.own.length, 2, "each in its own network");
    const seen = (mark: string): boolean => wire.frames.some((f) => f.includes(mark));
    t.ok(seen("open"), "the capture works: the plaintext network crosses the underlay in clear");
    t.notOk(seen("secret"), "the encrypted one does not");
    await wire.close();

    const ways = [
      [left.secret, right.secret, "10.8.0.2"],
      [right.secret, left.secret, "10.8.0.1"],
      [left.open, right.open, "10.9.0.2"],
      [right.open, left.open, "10.9.0.1"],
    ] as const;
    for (const { sent, received } of await Promise.all(
      ways.map(([from, to, address]) => transfer(from, to, address, BYTES / 4)),
    )) {
      t.equal(received.sha256, sent.sha256, `the same ${received.bytes / 1e6} MB, all at once`);
    }
    const flows = { count: 4000, rate: 4000, size: 300, flows: 16 };
    const { received, duplicates, damaged } = await datagrams(left.secret, right.secret, "10.8.0.2", flows);
    t.same({ duplicates, damaged }, { duplicates: 0, damaged: 0 }, `${received} datagrams of 16 flows`);
    t.ok(received > 3600, "nearly all of them on a busy machine");
    await isSound(t, left, right);
  });
}

t.test("a peer that is taken away gets nothing more, and nothing goes out in clear", async (t) => {
  const { lab, left, right } = await scene(t, { underlay: 4, tunnel: 4 });
  const file = lab.file(`${left.host.name}.yaml`);
  const reload = (change: (config: Config) => void): void => {
    const config = JSON.parse(readFileSync(file, "utf8")) as Config;
    change(config);
    writeFileSync(file, JSON.stringify(config));
    left.weft.job.child.kill("SIGHUP");
  };

  // What nobody could encrypt any more is no configuration.
  reload((config) => {
    config.wireguard.peers = [];
  });
  await until("the log says what is wrong", () => /not taken over/.test(left.weft.job.text));
  t.match(left.weft.job.text, /10\.7\.0\.2/);
  t.equal((await left.secret.ping("10.8.0.2")).received, 3, "and all is as before");

  // Another key in its place: nobody there has it.
  const stranger = keyPair().public;
  reload((config) => {
    config.wireguard.peers = [
      { publicKey: stranger, endpoint: endpointAt(right.host.v4), allowedIps: [only("10.7.0.2")] },
    ];
  });
  await until("the peer is another one", async () => (await left.weft.peer()).publicKey === stranger);
  const wire = await Wire.open(lab, right.host, right.host.device);
  const inside = await Wire.open(lab, left.secret);
  const mark = "taken away";
  const frame = ethernet({ dst: BROADCAST, src: "02:00:00:00:00:09", payload: Buffer.from(mark.padEnd(60, "\0")) });
  const before = (await left.weft.losses())["egress no_session"] ?? 0;
  await inside.send(...Array.from({ length: 20 }, () => frame));
  t.equal((await left.secret.ping("10.8.0.2", { count: 3 })).received, 0, "nothing comes back");
  t.ok(((await left.weft.losses())["egress no_session"] ?? 0) >= before + 20, "frames are dropped, by name");
  const sent = (): Buffer[] => wire.frames.filter((f) => f.readUInt16BE(12) === 0x0800 && f[23] === 17);
  // The first one may have gone before the capture began; it is repeated.
  await until("the capture works: an initiation goes out", () => sent().length > 0, HANDSHAKE_MS);
  t.same([...new Set(sent().map((f) => f.length))], [14 + 20 + 8 + 148], "and nothing else, so no frame in clear");
  // What the peer still sends under its key is for nobody.
  const lost = (await left.weft.losses())["ingress unknown_index"] ?? 0;
  t.equal((await right.secret.ping("10.8.0.1", { count: 3 })).received, 0);
  t.ok(((await left.weft.losses())["ingress unknown_index"] ?? 0) > lost, "its own frames find no key");
});

interface Config {
  wireguard: { peers: object[] };
}
