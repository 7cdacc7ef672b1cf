/** nebula: IP packets, always encrypted. */
import { mkdirSync, writeFileSync } from "node:fs";
import { makeContainers, moveToContainer, other, run, SIDES, type Side } from "../lab.js";
import { type Program, startProgram, together, untilDevice, versionOf } from "./program.js";
import { type Definition, factsOf } from "./system.js";

const PORT = 4242;
/** Its default. */
const MTU = 1300;
const FOLDER = "/run/bench-nebula";

export const nebula: Definition = {
  ...{ name: "nebula", title: "nebula", layer: 3, cipher: "AES-256-GCM", mtu: MTU, scope: "overlay" },
  needs: [{ program: "nebula", package: "nebula" }],
  async start(hosts) {
    const containers = makeContainers("nebula");
    mkdirSync(FOLDER, { mode: 0o700 });
    const ca = [`${FOLDER}/ca.crt`, `${FOLDER}/ca.key`] as const;
    run("nebula-cert", "ca", "-name", "bench", "-out-crt", ca[0], "-out-key", ca[1]);
    const programs: Program[] = [];
    const deviceOf = (side: Side) => ({ netns: hosts.netns(side), device: `nebula-${side}` });
    for (const side of SIDES) {
      const own = [`${FOLDER}/${side}.crt`, `${FOLDER}/${side}.key`] as const;
      run(
        ...([
          "nebula-cert",
          "sign",
          "-ca-crt",
          ca[0],
          "-ca-key",
          ca[1],
          "-out-crt",
          own[0],
          "-out-key",
          own[1],
        ] as const),
        ...["-name", side, "-ip", `${containers.address(side)}/24`],
      );
      const { netns, device } = deviceOf(side);
      const anything = [{ port: "any", proto: "any", host: "any" }];
      // JSON is YAML.
      const config = {
        pki: { ca: ca[0], cert: own[0], key: own[1] },
        static_host_map: { [containers.address(other(side))]: [`${hosts.address(other(side))}:${PORT}`] },
        lighthouse: { am_lighthouse: false, hosts: [] },
        listen: { host: hosts.address(side), port: PORT },
        cipher: "aes",
        tun: { dev: device, mtu: MTU },
        logging: { level: "warning", format: "text" },
        firewall: { outbound: anything, inbound: anything },
      };
      const file = `${FOLDER}/${side}.yml`;
      writeFileSync(file, JSON.stringify(config));
      programs.push(startProgram(netns, ["nebula", "-config", file]));
    }
    for (const side of SIDES) {
      await untilDevice(deviceOf(side), programs);
      moveToContainer(deviceOf(side), containers.container(side), MTU, containers.address(side));
    }
    const version = versionOf("nebula", "-version");
    return { ...factsOf(nebula), version, ...containers, wire: hosts.wire, ...together(programs) };
  },
};
