/** Names asked for inside a container, by three resolvers of others: dig, glibc and busybox. */
import { writeFileSync } from "node:fs";
import type { Lab } from "./lab.js";
import type { Station } from "./mesh.js";

export interface Resolver {
  /** Data of the answers, in the order they came; names with a dot behind. An address asks for its name with PTR. */
  dig(name: string, type: string): Promise<string[]>;
  /** `getent ahosts`. */
  glibc(name: string): Promise<string>;
  busybox(name: string): Promise<string>;
  /** Address of the name server. */
  readonly server: string;
}

/** Asks the gateway of the container's default route. */
export async function resolver(lab: Lab, { container }: Station): Promise<Resolver> {
  const [route] = await container.json<{ gateway?: string }[]>("ip -j route show default");
  const server = route?.gateway;
  if (server === undefined) throw new Error(`${container.label} has no default route`);
  const file = lab.file(`${container.label}.resolv`);
  writeFileSync(file, `nameserver ${server}\n`);
  const there = async (command: string): Promise<string> => {
    const script = `mount --bind ${file} /etc/resolv.conf && exec ${command}`;
    return await container.run(["unshare", "-m", "sh", "-c", script]);
  };
  return {
    server,
    dig: async (name, type) => {
      const asked = type === "PTR" ? ["-x", name] : [name, type];
      const text = await container.run(["dig", `@${server}`, "+short", "+time=1", "+tries=2", ...asked]);
      return text.split("\n").filter((line) => line !== "");
    },
    glibc: (name) => there(`getent ahosts ${name}`),
    busybox: (name) => there(`busybox nslookup ${name}`),
  };
}
