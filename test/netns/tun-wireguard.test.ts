/** What WireGuard asks of the kernel's sockets, on both addon builds; the twin's say the same in test/unit. */
import { kernelLink } from "@weft/tun";
import t, { type Test } from "tap";
import { openIo, sh, udp, withoutFeatures } from "../tun/kernel.js";
import { mapped, TestMemory } from "../tun/memory.js";
import { runSanitized } from "../tun/sanitized.js";
import * as wireguard from "../tun/wireguard.js";

const link = kernelLink();

sh("ip link set lo up");

/** The addresses are lo's: what is sent to them arrives without leaving the host. */
function host(t: Test): wireguard.TestHost {
  const change = (verb: string, address: string): string =>
    sh(`ip address ${verb} ${address}/${address.includes(":") ? "128 nodad" : "32"} dev lo`);
  const left = new Set(wireguard.HOST_ADDRESSES);
  const remove = (address: string): void => {
    left.delete(address);
    sh(`ip address del ${address}/${address.includes(":") ? 128 : 32} dev lo`);
  };
  for (const address of left) change("add", address);
  t.teardown(() => [...left].forEach(remove));
  return { link, remove };
}

t.test("an answer leaves from the address that was asked, while there is one", async (t) =>
  wireguard.answersFromWhereItWasAsked(t, host(t)),
);
t.test("a local address that is not known is zero", async (t) => wireguard.unknownLocalIsZero(t, host(t)));
t.test("data is steered by its receiver index", async (t) => wireguard.steersByReceiverIndex(t, host(t)));
t.test("a datagram that cannot be sent is a system error", async (t) => wireguard.sendFails(t, host(t)));
t.test("receivers take turns", async (t) => wireguard.receiversTakeTurns(t, host(t)));

t.test("there is no route, and the error says where to look", async (t) => {
  for (const [family, address, to] of [
    [4, "0.0.0.0", "198.51.100.1"],
    [6, "::", "2001:db8::1"],
  ] as const) {
    const socket = udp(t, { family, address });
    t.throws(() => socket.send(Buffer.alloc(148), to, 51_820), {
      code: "ENETUNREACH",
      syscall: "sendmsg",
      message: /cannot send 148 octets to .*51820 .*no route to it: see `ip route`/,
    });
  }
});

t.test("without the feature there is no steering", async (t) => {
  t.equal(link.features().reuseportSteering, true);
  await withoutFeatures("reuseportSteering", (other) => {
    t.equal(other.features().reuseportSteering, false);
    const socket = other.openUdp({ family: 4, address: "0.0.0.0", port: 0, reusePort: true });
    t.throws(() => socket.steerWireguard(2), { code: "EOPNOTSUPP", message: /WEFT_DISABLE.*receive with one socket/ });
    socket.close();
  });
});

t.test("what arrives joined is steered as one, by its first datagram", async (t) => {
  host(t);
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const client = udp(t, { address: "10.50.0.1" });
  io.addSender(0, client.fd);
  for (const gro of [true, false]) {
    const group = wireguard.steeredGroup(t, link, 4, 2, gro);
    group.sockets[0]?.steerWireguard(2);
    memory.clear();
    const run = [wireguard.message(4, 1), wireguard.message(4, 0), wireguard.message(1, 0, 40)];
    memory.udp({ sender: 0, addr: mapped("10.50.0.2"), port: group.port, payload: run, gsoSize: 64 });
    io.send(1);
    t.equal(memory.result(0), 168);
    const [first, second] = group.look();
    t.strictSame(first, [], "a member may see data of another's keys, and handshakes");
    t.ok(Buffer.concat(second ?? []).equals(Buffer.concat(run)), `${gro ? "in one buffer" : "singly"}`);
  }
});

runSanitized(import.meta.url);
