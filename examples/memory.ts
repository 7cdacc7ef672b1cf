/**
 * Two switches in one process, joined by a wire in memory: no privilege, no device, nothing to clean up. A frame goes
 * in at a port of the first and comes out at a port of the second, through the same WebAssembly as on real devices.
 *
 *     node examples/build/memory.js
 */
import { Dataplane } from "@weft/control";
import { MemoryLink, MemoryNetwork } from "@weft/tun";

const wire = new MemoryNetwork();
const linkA = new MemoryLink({ network: wire, addresses: ["192.0.2.1"] });
const linkB = new MemoryLink({ network: wire, addresses: ["192.0.2.2"] });
const a = await Dataplane.start({ underlay: ["192.0.2.1"], link: linkA });
const b = await Dataplane.start({ underlay: ["192.0.2.2"], link: linkB });
await a.setNetwork({ name: "blue", vni: 42, vteps: ["192.0.2.2"] });
await b.setNetwork({ name: "blue", vni: 42, vteps: ["192.0.2.1"] });
const portA = await a.attach({ network: "blue", ifname: "a0" });
const portB = await b.attach({ network: "blue", ifname: "b0" });

// What a container would send: destination, source, EtherType, payload.
const octets = (mac: string): Buffer => Buffer.from(mac.replaceAll(":", ""), "hex");
const type = Buffer.from([0x88, 0xb5]);
const frame = Buffer.concat([octets(portB.mac), octets(portA.mac), type, Buffer.from("hello from a".padEnd(46))]);

const arrived = new Promise<Uint8Array>((resolve) =>
  linkB.device("b0").onFrame((delivered) => resolve(delivered.frame)),
);
linkA.device("a0").inject(frame);
console.log(
  "arrived:",
  Buffer.from(await arrived)
    .toString("latin1", 14)
    .trim(),
);

for (const [name, dp] of [
  ["a", a],
  ["b", b],
] as const) {
  const { law, ports, vteps } = dp.counters();
  console.dir({ name, law, ports, vteps }, { depth: null });
}
console.log(
  "b has learned:",
  b.fdb("blue").filter((entry) => !entry.static),
);
await Promise.all([a.close(), b.close()]);
