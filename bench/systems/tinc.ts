/** tinc as an Ethernet switch: with the cipher and digest it comes with, and with none. */
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { INNER_MTU, makeContainers, moveToContainer, other, SIDES, type Side } from "../lab.js";
import { type Program, startProgram, together, untilDevice, versionOf } from "./program.js";
import { type Definition, factsOf } from "./system.js";

const PEM = { type: "pkcs1", format: "pem" } as const;
const keyPair = () =>
  generateKeyPairSync("rsa", { modulusLength: 2048, publicKeyEncoding: PEM, privateKeyEncoding: PEM });

function tincWith(name: string, cipher: string, mtu: number, port: number, ofEachHost: readonly string[]): Definition {
  const definition: Definition = {
    ...{ name, title: `tinc, ${cipher === "none" ? "cipher and digest off" : "defaults"}`, layer: 2, cipher, mtu },
    ...{ scope: "overlay", needs: [{ program: "tincd", package: "tinc" }] },
    async start(hosts) {
      const containers = makeContainers(name);
      const keys = { a: keyPair(), b: keyPair() };
      const programs: Program[] = [];
      const deviceOf = (side: Side) => ({ netns: hosts.netns(side), device: `${name}-${side}` });
      for (const side of SIDES) {
        const folder = `/run/bench-${name}-${side}`;
        mkdirSync(`${folder}/hosts`, { recursive: true, mode: 0o700 });
        const { netns, device } = deviceOf(side);
        const lines = [
          ...[`Name = ${side}`, `ConnectTo = ${other(side)}`, `Interface = ${device}`],
          ...[
            "DeviceType = tap",
            "Mode = switch",
            "AddressFamily = ipv4",
            `BindToAddress = ${hosts.address(side)} ${port}`,
          ],
        ];
        writeFileSync(`${folder}/tinc.conf`, `${lines.join("\n")}\n`);
        writeFileSync(`${folder}/rsa_key.priv`, keys[side].privateKey, { mode: 0o600 });
        for (const host of SIDES) {
          const about = [`Address = ${hosts.address(host)} ${port}`, `Port = ${port}`, ...ofEachHost];
          writeFileSync(`${folder}/hosts/${host}`, `${about.join("\n")}\n${keys[host].publicKey}`);
        }
        programs.push(startProgram(netns, ["tincd", "-D", "-c", folder, `--pidfile=${folder}/pid`]));
      }
      for (const side of SIDES) {
        await untilDevice(deviceOf(side), programs);
        moveToContainer(deviceOf(side), containers.container(side), mtu, containers.address(side));
      }
      const version = versionOf("tincd", "--version");
      return { ...factsOf(definition), version, ...containers, wire: hosts.wire, ...together(programs) };
    },
  };
  return definition;
}

/** With padding, sequence number and digest a frame of 1450 + 14 octets would not fit its datagram. */
export const tinc = tincWith("tinc", "AES-256-CBC + SHA-256", 1400, 655, []);
export const tincPlain = tincWith("tinc-plain", "none", INNER_MTU, 656, ["Cipher = none", "Digest = none"]);
