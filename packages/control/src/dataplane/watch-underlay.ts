/** Looks at the underlay once a second: an interface that went down, or changed its MTU, explains much. */
import type { Core } from "./core.js";

interface Seen {
  up: boolean;
  mtu: number;
}

/** @returns a function that looks once and emits an `underlay` event for each address whose state or MTU changed. */
export function watchUnderlay(core: Core): () => void {
  const look = (address: string, before: Seen): Seen => {
    try {
      const found = core.link.underlayInterface(address);
      return { up: found?.up ?? false, mtu: found?.mtu ?? before.mtu };
    } catch {
      return before; // Out of descriptors: nothing is known, so nothing is said.
    }
  };
  const seen = new Map<string, Seen>(core.underlay.map(({ address, mtu }) => [address, { up: true, mtu }]));
  return () => {
    for (const [address, before] of seen) {
      const now = look(address, before);
      if (now.up === before.up && now.mtu === before.mtu) continue;
      seen.set(address, now);
      core.emit({ type: "underlay", address, ...now });
    }
  };
}
