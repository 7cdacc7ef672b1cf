/** Somebody on the underlay who can send whatever he likes to a real daemon: nothing gets in, and nobody is put out. */
import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { BROADCAST, ethernet, tunnelled } from "../lab/frame.js";
import { Storm } from "../lab/initiations.js";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { datagrams } from "../lab/traffic.js";
import { difference, Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";
import { endpointAt, keyPair, only, PORT, wireguardSection } from "../lab/wireguard.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
/** How long the initiations go on, and how many come in a second. */
const STORM_SECONDS = LONG ? 120 : 16;
const STORM_RATE = 20_000;
/** Rekey-Timeout of the paper with its jitter: an initiation that was not answered is sent again after it. */
const RETRY_MS = 5333;
/** New keys that the peer makes meanwhile. Its first initiation gets a cookie, the next one carries it. */
const REKEYS = Math.floor((STORM_SECONDS * 1000) / (3 * RETRY_MS));
/**
 * The storm goes on until they are made, so long at most. Where the victim has no processor left to answer all initiations without a
 * cookie with one, whose turn it is is chance: of 15 one is answered with a probability of 99.5 % where only a third are.
 */
const STORM_SECONDS_MAX = STORM_SECONDS + 80;

interface Scene {
  readonly lab: Lab;
  readonly left: Host;
  readonly right: Host;
  /** Who is attacked, with two workers. */
  readonly victim: Weft;
  readonly peer: Weft;
  /** 10.8.0.1 at the victim, 10.8.0.2 at its peer. */
  readonly c1: Namespace;
  readonly c2: Namespace;
}

async function scene(t: Test, rekeyAfterMessages?: number): Promise<Scene> {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  // Every datagram has its size on the wire and a finished checksum, so that it can be sent again as it was.
  await left.offloads(false);
  await right.offloads(false);
  const keys = [keyPair(), keyPair()] as const;
  const up = async (i: 0 | 1): Promise<Weft> => {
    const [host, far] = i === 0 ? [left, right] : [right, left];
    const inside = `10.7.0.${2 - i}`;
    return await Weft.up(lab, host, {
      config: {
        underlay: [host.v4],
        workers: 2,
        wireguard: wireguardSection(lab, {
          ...{ keys: keys[i], address: [`10.7.0.${i + 1}`] },
          // The peer makes new keys: the one who has to get through to the victim.
          ...(rekeyAfterMessages === undefined || i === 0 ? {} : { rekeyAfterMessages }),
          peers: [{ publicKey: keys[1 - i]?.public ?? "", endpoint: endpointAt(far.v4), allowedIps: [only(inside)] }],
        }),
        networks: [{ name: "blue", vni: 42, vteps: [inside] }],
      },
    });
  };
  const [victim, peer] = await Promise.all([up(0), up(1)]);
  const [c1, c2] = [await lab.container("c1"), await lab.container("c2")];
  await victim.attach(c1, { network: "blue", ip: ["10.8.0.1/24"] });
  await peer.attach(c2, { network: "blue", ip: ["10.8.0.2/24"] });
  // The peer begins, so that its keys count its messages.
  await until("a session", async () => (await c2.ping("10.8.0.1", { count: 1 })).received === 1, 4 * RETRY_MS);
  return { lab, left, right, victim, peer, c1, c2 };
}

/** Where the parts of an underlay frame with UDP over IPv4 begin. */
const UDP = 34;
const PAYLOAD = 42;

/** Data messages of WireGuard among frames. */
function dataMessages(frames: readonly Buffer[]): Buffer[] {
  return frames.filter(
    (f) => f.length > PAYLOAD + 32 && f.readUInt16BE(12) === 0x0800 && f[23] === 17 && f.readUInt32LE(PAYLOAD) === 4,
  );
}

/** The same datagram from another source port. */
function fromPort(frame: Buffer, port: number): Buffer {
  const copy = Buffer.from(frame);
  copy.writeUInt16BE(port, UDP);
  copy.writeUInt16BE(0, UDP + 6); // no checksum, which IPv4 allows
  return copy;
}

t.test("what was sent once is not taken twice, from whichever port it comes", async (t) => {
  const { lab, left, right, victim, c1, c2 } = await scene(t);
  const tap = await Wire.open(lab, left, left.device);
  await datagrams(c2, c1, "10.8.0.1", { count: 400, rate: 2000, size: 200 });
  const recorded = dataMessages(tap.frames).slice(0, 300);
  await tap.close();
  t.equal(recorded.length, 300, "data messages of the peer were recorded");
  const endpoint = (await victim.peer()).endpoint;
  const inside = await Wire.open(lab, c1);
  const attacker = await Wire.open(lab, right, right.device);
  const replays = async (what: string, frames: readonly Buffer[]): Promise<void> => {
    const before = await victim.losses();
    inside.clear();
    for (let i = 0; i < frames.length; i += 50) {
      await attacker.send(...frames.slice(i, i + 50));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(`${frames.length} are counted`, async () => {
      const found = difference(before, await victim.losses())["ingress replay"];
      if (found !== frames.length) throw new Error(`${found} so far`);
      return true;
    });
    t.pass(`${what}: every one is a replay`);
    t.equal(inside.frames.filter((f) => f.includes(Buffer.alloc(100, 7))).length, 0, `${what}: none arrives inside`);
  };
  await replays("as they were", recorded);
  await replays("backwards", [...recorded].reverse());
  await replays(
    "from other ports",
    recorded.map((frame, i) => fromPort(frame, 20_000 + i)),
  );
  t.equal((await victim.peer()).endpoint, endpoint, "and the peer is still where it was");
  // A number that is yet to come, under a tag that is not right for it.
  const broken = fromPort(recorded[0] as Buffer, PORT);
  broken.writeBigUInt64LE(1_000_000n, PAYLOAD + 8);
  const before = await victim.losses();
  await attacker.send(broken);
  await until("a wrong tag is counted", async () => {
    return difference(before, await victim.losses())["ingress auth_failed"] === 1;
  });
  t.equal((await c1.ping("10.8.0.2")).received, 3, "the session is as good as before, and its window where it was");
});

t.test("VXLAN in clear for an encrypted network is refused", async (t) => {
  const { lab, left, right, victim, c1 } = await scene(t);
  const attacker = await Wire.open(lab, right, right.device);
  const inside = await Wire.open(lab, c1);
  const frame = ethernet({ dst: BROADCAST, src: "02:00:00:00:00:09", payload: Buffer.from("in clear".padEnd(60)) });
  const [srcMac, dstMac] = [await right.mac("under0"), await left.mac("under0")];
  const before = await victim.losses();
  // From the peer's own address, as if it were a VTEP, and from somebody else's; to our underlay address.
  for (const src of [right.v4, "192.0.2.77"]) {
    await attacker.send(tunnelled({ srcMac, dstMac, src, dst: left.v4, vni: 42 }, frame));
  }
  await until("both are refused", async () => {
    return difference(before, await victim.losses())["ingress plaintext_refused"] === 2;
  });
  t.equal(inside.own.length, 0, "and nothing arrives inside");
});

t.test(
  `${STORM_RATE} initiations a second with the right mac1, for ${STORM_SECONDS} s`,
  { timeout: (STORM_SECONDS_MAX + 240) * 1000 },
  async (t) => {
    const { lab, right, left, victim, peer, c1, c2 } = await scene(t, 300);
    const pid = victim.job.child.pid as number;
    const mib = (): number =>
      Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
    const counters = async (): Promise<Counters> => {
      const { wireguard } = (await victim.status()).counters;
      if (wireguard === null) throw new Error("no WireGuard");
      return wireguard;
    };
    const flow = { count: 4000, rate: 2000, size: 200 };
    const quiet = await datagrams(c2, c1, "10.8.0.1", flow);

    const before = await counters();
    const rekeysBefore = (await peer.status()).counters.wireguard?.rekeys ?? 0;
    const storm = await Storm.start(lab, right, left.v4, (await victim.wireguard()).publicKey, STORM_RATE);
    const started = performance.now();
    let made = 0;
    const isOver = (): boolean =>
      performance.now() - started > (made < REKEYS ? STORM_SECONDS_MAX : STORM_SECONDS) * 1000;
    const memory: number[] = [];
    const lost: string[] = [];
    const ratios: number[] = [];
    await Promise.all([
      (async () => {
        while (!isOver()) {
          await new Promise((resolve) => setTimeout(resolve, 250));
          memory.push(mib());
          const { session } = await victim.peer();
          if (session !== "established") lost.push(session);
          made = ((await peer.status()).counters.wireguard?.rekeys ?? 0) - rekeysBefore;
        }
      })(),
      (async () => {
        while (!isOver()) {
          const run = await datagrams(c2, c1, "10.8.0.1", flow);
          t.same([run.duplicates, run.damaged], [0, 0]);
          ratios.push(run.received / run.receiveSeconds / (quiet.received / quiet.receiveSeconds));
        }
      })(),
    ]);
    t.same(lost, [], "the session was there all the time");
    t.ok(made >= REKEYS, `${made} new keys meanwhile, at least ${REKEYS} wanted`);
    const { sent, answers, seconds } = await storm.stop();
    const after = await counters();
    t.ok(answers > 0, `${sent} initiations in ${seconds.toFixed(1)} s got ${answers} answers`);
    t.ok(after.cookiesSent - before.cookiesSent > 0, `${after.cookiesSent - before.cookiesSent} cookies`);
    t.comment(`packet rate beside that without them: ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")}`);
    const third = memory.slice(Math.floor(memory.length / 3), Math.floor((2 * memory.length) / 3));
    const [early, late] = [Math.min(...third), Math.min(...memory.slice(-third.length))];
    t.ok(late < early * 1.1, `memory: ${early.toFixed(1)} MiB, at the end ${late.toFixed(1)} MiB`);
    t.match(await victim.peer(), { session: "established" });
    t.equal((await c1.ping("10.8.0.2")).received, 3, "and all is well afterwards");
  },
);

type Counters = NonNullable<Awaited<ReturnType<Weft["status"]>>["counters"]["wireguard"]>;
