/** fastd, with frames as they are and with its fast cipher. */
import { mkdirSync, writeFileSync } from "node:fs";
import { INNER_MTU, makeContainers, moveToContainer, other, run, SIDES, type Side } from "../lab.js";
import { type Program, startProgram, together, untilDevice, versionOf } from "./program.js";
import { type Definition, factsOf } from "./system.js";

function keyPair(): { secret: string; public: string } {
  const text = run("fastd", "--generate-key", "--machine-readable");
  const secret = /[0-9a-f]{64}/.exec(text)?.[0] ?? "";
  const file = "/run/fastd-key.conf";
  writeFileSync(file, `secret "${secret}";\n`, { mode: 0o600 });
  const shown = run("fastd", "--config", file, "--show-key", "--machine-readable");
  return { secret, public: /[0-9a-f]{64}/.exec(shown)?.[0] ?? "" };
}

function fastdWith(name: string, method: string, cipher: string, mtu: number, port: number): Definition {
  const definition: Definition = {
    ...{ name, title: `fastd, method ${method}`, layer: 2, cipher, mtu, scope: "overlay" },
    needs: [{ program: "fastd", package: "fastd" }],
    async start(hosts) {
      const containers = makeContainers(name);
      const keys = { a: keyPair(), b: keyPair() };
      const programs: Program[] = [];
      const deviceOf = (side: Side) => ({ netns: hosts.netns(side), device: `${method.slice(0, 5)}-${side}` });
      for (const side of SIDES) {
        const folder = `/run/bench-${name}-${side}`;
        mkdirSync(folder, { mode: 0o700 });
        const { netns, device } = deviceOf(side);
        const file = `${folder}/fastd.conf`;
        const lines = [
          `interface "${device}";`,
          "mode tap;",
          `mtu ${mtu};`,
          `method "${method}";`,
          `bind ${hosts.address(side)}:${port};`,
          `secret "${keys[side].secret}";`,
          `peer "${other(side)}" { key "${keys[other(side)].public}"; remote ${hosts.address(other(side))}:${port}; }`,
        ];
        writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
        programs.push(startProgram(netns, ["fastd", "--config", file]));
        // One after the other: when both greet at once, they try again after 20 s.
        await untilDevice(deviceOf(side), programs);
      }
      for (const side of SIDES) {
        moveToContainer(deviceOf(side), containers.container(side), mtu, containers.address(side));
      }
      const version = versionOf("fastd", "--version");
      return { ...factsOf(definition), version, ...containers, wire: hosts.wire, ...together(programs) };
    },
  };
  return definition;
}

export const fastdNull = fastdWith("fastd-null", "null", "none", INNER_MTU, 10_000);
/** 24 octets of its own header: 1434 would fit. */
export const fastdSalsa = fastdWith("fastd-salsa2012", "salsa2012+umac", "Salsa20/12 + UMAC", 1400, 10_001);
