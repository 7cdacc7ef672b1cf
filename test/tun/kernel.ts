/** What tests on the real kernel start with: commands, namespaces, devices, sockets that end with the test. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { type Device, type Io, kernelLink, type Link, type OpenDevice, type UdpSocket } from "@weft/tun";
import type { Test } from "tap";
import type { TestMemory } from "./memory.js";
import { commandEnvironment } from "./sanitized.js";

const link = kernelLink();

/**
 * Runs `use` with a link that goes without some features (names as in WEFT_DISABLE): one beside kernelLink(), which has
 * looked for its features already. A query makes the module, and its only link, a new one.
 */
export async function withoutFeatures<T>(disable: string, use: (link: Link) => T): Promise<Awaited<T>> {
  const module = new URL("./kernel.js", import.meta.resolve("@weft/tun"));
  module.search = `without=${disable}&${randomBytes(4).toString("hex")}`;
  const fresh = (await import(module.href)) as { kernelLink: typeof kernelLink };
  process.env.WEFT_DISABLE = disable;
  try {
    return await use(fresh.kernelLink());
  } finally {
    delete process.env.WEFT_DISABLE;
  }
}

/** Runs a command line and returns what it prints. */
export function sh(line: string): string {
  return execFileSync("sh", ["-c", line], {
    env: commandEnvironment(),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends UDP datagrams that say `hello`, without waiting for anything. */
export function datagrams(to: string, count: number, prefix = ""): void {
  sh(
    `${prefix} perl -MSocket -e 'socket(S,AF_INET,SOCK_DGRAM,0); send(S,"hello",0,sockaddr_in(7,inet_aton("${to}"))) for 1..${count}'`,
  );
}

/** A namespace that ends with the test. */
export function netns(t: Test): { name: string; fd: number; in: (line: string) => string; end: () => void } {
  const name = `weft-tun-${randomBytes(4).toString("hex")}`;
  sh(`ip netns add ${name}`);
  const fd = openSync(`/run/netns/${name}`, "r");
  let open = true;
  const end = (): void => {
    if (!open) return;
    open = false;
    closeSync(fd);
    sh(`ip netns del ${name}`);
  };
  t.teardown(end);
  return { name, fd, in: (line) => sh(`ip netns exec ${name} ${line}`), end };
}

export function open(t: Test, spec: Partial<OpenDevice> = {}): Device {
  const name = `t${randomBytes(4).toString("hex")}`;
  const device = link.openDevice({ kind: "tap", name, vnetHdr: true, ...spec });
  t.teardown(() => device.close());
  return device;
}

export function openIo(t: Test, memory: TestMemory): Io {
  const io = link.createIo(memory.octets, memory.worker);
  t.teardown(() => io.close());
  return io;
}

export function udp(t: Test, spec: Partial<Parameters<typeof link.openUdp>[0]> = {}): UdpSocket {
  const socket = link.openUdp({ family: 4, address: "127.0.0.1", port: 0, ...spec });
  t.teardown(() => socket.close());
  return socket;
}
