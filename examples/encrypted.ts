/**
 * An encrypted network between two switches in one process: VXLAN inside WireGuard, on a wire in memory that is watched.
 * On real hosts leave out `link`. `weft keygen` makes keys too.
 *
 *     node examples/build/encrypted.js
 */
import { generateKeyPairSync } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Dataplane } from "@weft/control";
import { MemoryLink, MemoryNetwork } from "@weft/tun";

const wire = new MemoryNetwork();
const seen: Buffer[] = [];
wire.watch(({ payload }) => seen.push(Buffer.from(payload)));

const hosts = [1, 2].map((n) => {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  return {
    n,
    link: new MemoryLink({ network: wire, addresses: [`192.0.2.${n}`] }),
    privateKey: privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32),
    publicKey: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64"),
  };
});
const switches = hosts.map(async ({ n, link, privateKey }) => {
  const peers = hosts
    .filter((peer) => peer.n !== n)
    .map(({ n, publicKey }) => ({ publicKey, endpoint: `192.0.2.${n}:51820`, allowedIps: [`10.7.0.${n}/32`] }));
  const wireguard = { privateKey, address: [`10.7.0.${n}`], peers };
  const dp = await Dataplane.start({ underlay: [`192.0.2.${n}`], link, wireguard });
  // VTEPs are addresses inside the tunnel. What has no session is dropped, never sent in clear.
  await dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.7.0.1", "10.7.0.2"], encryption: "required" });
  return { dp, link, port: await dp.attach({ network: "blue", ifname: `c${n}` }) };
});
const [a, b] = (await Promise.all(switches)) as [Awaited<(typeof switches)[0]>, Awaited<(typeof switches)[0]>];
while (a.dp.wireguard()?.peers[0]?.session !== "established") await sleep(10);

const octets = (mac: string): Buffer => Buffer.from(mac.replaceAll(":", ""), "hex");
const head = Buffer.concat([octets(b.port.mac), octets(a.port.mac), Buffer.from([0x88, 0xb5])]);
const arrived = new Promise<Uint8Array>((resolve) => b.link.device("c2").onFrame(({ frame }) => resolve(frame)));
a.link.device("c1").inject(Buffer.concat([head, Buffer.from("hello".padEnd(46))]));
console.log(
  "arrived:",
  Buffer.from(await arrived)
    .subarray(14)
    .toString()
    .trim(),
);
console.log("of it in clear:", seen.filter((payload) => payload.includes("hello")).length);
await Promise.all([a.dp.close(), b.dp.close()]);
