/**
 * A host's gateways without a data plane, as a program of its own so that it can run inside a namespace: the double makes veth
 * pairs into a namespace with a bridge per network, where the real ones are ports of the switch.
 *
 *   gateway-host.mjs PATH SWITCH    PATH of the gateways' namespace, SWITCH the namespace with the bridges `br-NETWORK`
 *
 * Standard input has a JSON line per step: {"apply": …} or {"close": true}; each is answered by a line: the status, or {"error"}.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Gateway } from "../../packages/control/dist/gateway/gateway.js";

const [path, bridges] = process.argv.slice(2);
const ip = (line) => execFileSync("ip", line.split(" "));
const ports = new Map();

const double = {
  ports: () => [...ports.values()],
  async attach({ id, network, netns, ifname, mac, ip: addresses, role = "container" }) {
    const end = `p-${network}-${role[0]}`;
    // The switch does not take over somebody's device either.
    if (netns === undefined && readFileSync("/proc/net/dev", "utf8").includes(`${ifname}:`))
      throw new Error(`${ifname}: File exists`);
    ip(`link add ${end}x type veth peer name ${end} netns ${bridges}`);
    ip(`-n ${bridges} link set ${end} master br-${network} up`);
    const inside = netns === undefined ? [] : ["nsenter", `--net=${netns}`];
    if (netns !== undefined) ip(`link set ${end}x netns ${netns}`);
    for (const line of [
      `link set ${end}x name ${ifname}`,
      ...(mac === undefined ? [] : [`link set ${ifname} address ${mac}`]),
      ...addresses.map((a) => `addr add ${a} dev ${ifname}${a.includes(":") ? " nodad" : ""}`),
      `link set ${ifname} up`,
    ]) {
      const [program, ...words] = [...inside, "ip", ...line.split(" ")];
      execFileSync(program, words);
    }
    ports.set(id, { id, network, netns: netns ?? null, ifname, ip: addresses, role, end });
  },
  async detach(id) {
    ip(`-n ${bridges} link del ${ports.get(id).end}`);
    ports.delete(id);
  },
};

const gateway = await Gateway.open({
  ports: double,
  path,
  blocked: [
    { protocol: "tcp", port: 6783 },
    { protocol: "tcp", port: 6782 },
    { protocol: "udp", port: 4789 },
  ],
  tell: (text) => console.error(text),
});
console.log(JSON.stringify(gateway.status()));
for await (const line of createInterface({ input: process.stdin })) {
  const { apply, close } = JSON.parse(line);
  try {
    if (apply) await gateway.apply(apply);
    if (close) await gateway.close();
    console.log(JSON.stringify(gateway.status()));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
