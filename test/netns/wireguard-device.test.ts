/** WireGuard's TUN device among the other devices and routes of a real host. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Dataplane, type WireguardSpec } from "@weft/control";
import t from "tap";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";

const run = (words: string): string => execFileSync("ip", words.split(" "), { encoding: "utf8" });
const peer = (...allowedIps: string[]) => ({ publicKey: publicKeyText(randomBytes(32)), allowedIps });
const start = (over: Partial<WireguardSpec>): Promise<Dataplane> =>
  Dataplane.start({
    underlay: ["198.51.100.1"],
    wireguard: { privateKey: randomBytes(32), address: ["10.7.0.1"], device: "wgt0", ...over },
  });

t.before(() => {
  run("link add wgu0 type veth peer name wgu1");
  run("link set wgu1 up");
  run("link set wgu0 up");
  run("address add 198.51.100.1/24 dev wgu0");
});

/** Those of the devices here: tests beside this one have others. The kernel takes its time to see that a link is up. */
const routes = (): string[] =>
  run("route show table main")
    .split("\n")
    .filter((line) => / dev wg/.test(line))
    .map((line) => line.replace(" linkdown", ""));

t.teardown(() => {
  run("link del wgu0");
});

t.test("routes of others stay, its own go with it", async (t) => {
  const before = routes();
  const dp = await start({ peers: [peer("198.51.100.0/24", "10.50.0.0/16", "0.0.0.0/0")] });
  t.match(run("route show 198.51.100.0/24"), /dev wgu0/, "the underlay's own network is not led into the tunnel");
  t.match(run("route show 10.50.0.0/16"), /dev wgt0/);
  await dp.setPeers([peer("10.50.0.0/16", "10.51.0.0/16")]);
  t.match(run("route show 10.51.0.0/16"), /dev wgt0/, "a list that comes later");
  await dp.setPeers([peer("10.51.0.0/16", "fd51::/64")]);
  t.equal(run("route show 10.50.0.0/16"), "", "a prefix that no peer has any more");
  t.match(run("route show 10.51.0.0/16"), /dev wgt0/);
  t.match(run("-6 route show fd51::/64"), /dev wgt0/);
  await dp.setPeers([peer("10.51.0.0/16")]);
  t.equal(run("-6 route show fd51::/64"), "");
  await dp.close();
  t.same(routes(), before);
});

t.test("the device is deleted by somebody: lists of peers are still taken", async (t) => {
  const dp = await start({});
  t.equal(dp.wireguard()?.device, "wgt0");
  run("link del wgt0");
  for (let i = 0; i < 1000 && dp.wireguard()?.device !== null; i++) await sleep(20);
  t.equal(dp.wireguard()?.device, null);
  await dp.setPeers([peer("10.51.0.0/16")]);
  t.equal(dp.wireguard()?.peers.length, 1);
  await dp.close();
});

t.test("a name and a port that are taken", async (t) => {
  run("link add wgt0 type veth peer name wgx0");
  await t.rejects(start({}), { message: /wgt0.*wireguard\.device/ });
  run("link del wgt0");
  run("tuntap add dev wgt0 mode tun");
  await t.rejects(start({}), { message: /wgt0.*wireguard\.device/ }, "a persistent one is not joined");
  run("link del wgt0");
  const dp = await start({});
  await t.rejects(start({ address: ["10.7.0.2"], device: "wgt1" }), { code: "EADDRINUSE", message: /4789|51820/ });
  await dp.close();
  t.notMatch(run("-br link"), /wgt/);
});
