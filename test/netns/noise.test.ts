/** Our handshake, judged by wireguard-go: either side begins, with and without a preshared key. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";

const NOISE = new URL("../../packages/control/dist/wireguard/noise/", import.meta.url).href;
const PEER = fileURLToPath(new URL("../lab/noise-peer.mjs", import.meta.url));
const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));
const PORT = 51820;

t.test("wireguard-go and we make sessions with each other", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const keygen = (): Promise<string> => left.run([process.execPath, WEFT, "keygen"]);
  const pubkey = async (key: string): Promise<string> => {
    const job = left.start([process.execPath, WEFT, "pubkey"]);
    job.child.stdin?.end(key);
    return (await job.done())[0] as string;
  };
  const [ours, theirs] = [await keygen(), await keygen()];
  const [ourPublic, theirPublic] = [await pubkey(ours), await pubkey(theirs)];
  t.equal(ourPublic, await left.run(["sh", "-c", `printf %s ${ours} | wg pubkey`]), "weft pubkey is wg pubkey");
  t.equal(await left.run(["sh", "-c", `printf %s ${theirs} | wg pubkey`]), theirPublic);

  for (const [round, preshared] of [undefined, randomBytes(32).toString("base64")].entries()) {
    const device = `wg${round}`;
    const daemon = right.start(["wireguard-go", "-f", device]);
    await until(`${device} is there`, async () =>
      (await right.attempt(["ip", "link", "show", device])).code === 0 ? true : undefined,
    );
    const file = (name: string, content: string): string => {
      writeFileSync(lab.file(name), content, { mode: 0o600 });
      return lab.file(name);
    };
    const psk = preshared === undefined ? [] : ["preshared-key", file(`psk${round}`, preshared)];
    await right.run([
      ...["wg", "set", device, "listen-port", `${PORT}`, "private-key", file(`key${round}`, theirs)],
      ...["peer", ourPublic, ...psk, "endpoint", `${left.address(4)}:${PORT}`, "allowed-ips", "10.7.0.1/32"],
    ]);
    await right.run(`ip addr add 10.7.0.2/24 dev ${device}`);
    await right.run(`ip link set ${device} up`);
    const peer = (more: object): ReturnType<typeof left.start> => {
      const ask = {
        ...{ noise: NOISE, privateKey: ours, publicKey: theirPublic, port: PORT },
        ...{
          preshared: preshared ?? Buffer.alloc(32).toString("base64"),
          address: "10.7.0.1",
          far: "10.7.0.2",
          ...more,
        },
      };
      return left.start([process.execPath, PEER, JSON.stringify(ask)]);
    };
    const what = preshared === undefined ? "without a preshared key" : "with one";

    const first = peer({ endpoint: right.address(4) });
    await first.line(/"session":true/);
    await first.line(/"icmp":0/);
    t.pass(`${what}: we begin, and our echo request is answered through the tunnel`);
    await first.kill();

    const second = peer({});
    await second.line(/"listening"/);
    // A session that is forgotten on our side only: theirs is thrown away by hand, then they begin.
    await right.run(["wg", "set", device, "peer", ourPublic, "remove"]);
    await right.run([
      ...["wg", "set", device, "peer", ourPublic, ...psk],
      ...["endpoint", `${left.address(4)}:${PORT}`, "allowed-ips", "10.7.0.1/32"],
    ]);
    const answers = await right.ping("10.7.0.1", { count: 3, intervalSeconds: 0.2 });
    t.equal(answers.received, 3, `${what}: they begin, and their echo requests are answered`);
    await second.line(/"answered":true/);
    const [, at] = (await right.run(["wg", "show", device, "latest-handshakes"])).split("\t");
    t.ok(Number(at) > 0, "they count the handshake");
    t.notMatch(first.text + second.text, /"bad"/);
    await second.kill();
    await daemon.kill("SIGTERM");
  }
});
