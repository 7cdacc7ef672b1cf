/**
 * A router daemon's way to use the switch. Needs root (or `unshare -Urnm`), a namespace c1 (`ip netns add c1`) and the
 * underlay address 192.0.2.1 on some interface (`ip address add 192.0.2.1/24 dev …`).
 *
 *     node examples/build/embed.js
 */
import { Dataplane } from "@weft/control";

const dp = await Dataplane.start({ underlay: ["192.0.2.1"], workers: 1 });
dp.on("event", (e) => console.log("event", e)); // learned, moved, aged, evicted, portState, portGone, workerFailed

await dp.setNetwork({ name: "blue", vni: 42, vteps: ["192.0.2.2", "192.0.2.3"], mtu: "auto" });
await dp.routes("blue").replace([
  // The whole table, one atomic switch; also add, remove and list.
  { mac: "02:00:00:00:00:07", via: "192.0.2.3" },
  { prefix: "10.8.1.0/24", via: "192.0.2.2" }, // where frames go whose MAC is unknown; longest prefix wins
]);
const port = await dp.attach({ netns: "c1", network: "blue", ip: ["10.8.0.1/24"] });
console.log(`${port.ifname} in ${port.netns}: ${port.mac}, MTU ${port.mtu}, ${port.state}`);

console.log(dp.counters().law);
await dp.close(); // removes every port, device, socket and thread
