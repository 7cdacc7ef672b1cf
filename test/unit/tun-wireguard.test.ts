/** What WireGuard asks of the in-memory twin's sockets; the kernel's say the same in test/netns/tun-wireguard.test.ts. */
import { MemoryLink, MemoryNetwork } from "@weft/tun";
import t from "tap";
import * as wireguard from "../tun/wireguard.js";

function host(): wireguard.TestHost & { readonly link: MemoryLink } {
  let addresses = wireguard.HOST_ADDRESSES;
  const link = new MemoryLink({ addresses });
  const remove = (address: string): void => {
    addresses = addresses.filter((one) => one !== address);
    link.setAddresses(addresses);
  };
  return { link, remove };
}

t.test("an answer leaves from the address that was asked, while there is one", async (t) =>
  wireguard.answersFromWhereItWasAsked(t, host()),
);
t.test("a local address that is not known is zero", async (t) => wireguard.unknownLocalIsZero(t, host()));
t.test("data is steered by its receiver index", async (t) => wireguard.steersByReceiverIndex(t, host()));
t.test("a datagram that cannot be sent is a system error", async (t) => wireguard.sendFails(t, host()));
t.test("receivers take turns", async (t) => wireguard.receiversTakeTurns(t, host()));

t.test("without the feature there is no steering; before it, and after it, a sender's port decides", async (t) => {
  const without = new MemoryLink({ addresses: ["10.50.0.1"], features: { reuseportSteering: false } });
  const socket = without.openUdp({ family: 4, address: "0.0.0.0", port: 1, reusePort: true });
  t.throws(() => socket.steerWireguard(2), { code: "EOPNOTSUPP" });

  const { link } = host();
  const group = wireguard.steeredGroup(t, link, 4, 2);
  const client = link.openUdp({ family: 4, address: "10.50.0.1", port: 0 });
  const data = wireguard.message(4, client.port + 1);
  const send = (): number[] => {
    client.send(data, "10.50.0.2", group.port);
    return group.look().map((of) => of.length);
  };
  const before = client.port % 2 === 0 ? [1, 0] : [0, 1];
  t.strictSame(send(), before, "not yet");
  group.sockets[0]?.steerWireguard(2);
  t.strictSame(send(), [...before].reverse());
  for (const one of group.sockets) one.close();
  const again = [1, 2].map(() => link.openUdp({ family: 4, address: "0.0.0.0", port: group.port, reusePort: true }));
  t.equal(again.length, 2, "a new group is not steered");
});

t.test("a host that moves is found where it is", async (t) => {
  const network = new MemoryNetwork();
  const [fixed, moving] = ["10.9.0.1", "10.9.0.2"].map((one) => new MemoryLink({ network, addresses: [one] })) as [
    MemoryLink,
    MemoryLink,
  ];
  const seen: string[] = [];
  network.watch(({ from, to }) => seen.push(`${from.at(-1)}>${to.at(-1)}`));
  const [a, b] = [fixed, moving].map((link) => link.openUdp({ family: 4, address: "0.0.0.0", port: 51_820 }));
  b?.send(Buffer.from("x"), "10.9.0.1", 51_820);
  moving.setAddresses(["10.9.0.7"]);
  b?.send(Buffer.from("x"), "10.9.0.1", 51_820, "10.9.0.2");
  a?.send(Buffer.from("x"), "10.9.0.7", 51_820);
  a?.send(Buffer.from("x"), "10.9.0.2", 51_820);
  t.strictSame(seen, ["2>1", "7>1", "1>7", "1>2"]);
  t.match(network.counts, { arrived: 3, unreachable: 1 });
  moving.setAddresses(["fd00::7"]);
  t.throws(() => b?.send(Buffer.from("x"), "10.9.0.1", 51_820), { code: "ENETUNREACH" }, "no address of that family");
});
