/**
 * An /etc of the demo's own, in its private mounts, so that `ip netns exec web ping db.weft.local` works: `ip netns exec` puts
 * /etc/netns/NAME/resolv.conf in place of /etc/resolv.conf. The machine's own /etc is not written to.
 */
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolvConfText } from "../dns/resolv-conf.js";

/** Where the machine's /etc is then. */
const BELOW = "/run/etc";

/** Makes it, with no name server in it: the daemons ask nobody outside. */
export function ownEtc(): void {
  mkdirSync(BELOW);
  // Recursively: an ordinary user may not uncover what lies below a mount.
  execFileSync("mount", ["--rbind", "/etc", BELOW]);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", "/etc"]);
  for (const name of readdirSync(BELOW)) {
    if (name === "resolv.conf" || name === "netns") continue;
    const there = join(BELOW, name);
    // A symbolic link may be relative: it is right only where it was.
    symlinkSync(lstatSync(there).isSymbolicLink() ? readlinkSync(there) : there, join("/etc", name));
  }
  // A file, for another to be mounted upon; on many machines it is a link into /run, which is empty here.
  writeFileSync("/etc/resolv.conf", "");
}

/**
 * Lets containers ask for names at the gateway.
 *
 * @param containers names of their namespaces
 */
export function nameServers(containers: readonly string[], gateway: string): void {
  for (const name of containers) {
    mkdirSync(join("/etc/netns", name), { recursive: true });
    writeFileSync(join("/etc/netns", name, "resolv.conf"), resolvConfText("default", [gateway]));
  }
}
