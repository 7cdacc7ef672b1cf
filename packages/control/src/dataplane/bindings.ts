/** Bindings from text to table rows. */
import type { Key } from "@weft/dataplane-wasm";
import { formatMac, isStation, parseAddress, parseMac } from "./address.js";
import type { Problems } from "./invalid.js";
import type { Binding } from "./types.js";

export interface BindingEntry {
  /** In the usual short form. */
  readonly ip: string;
  readonly address: Key;
  readonly mac: Key;
}

/** Checks a whole table. @returns entries by address text */
export function checkBindings(given: readonly Binding[], problems: Problems): Map<string, BindingEntry> {
  const out = new Map<string, BindingEntry>();
  if (!Array.isArray(given)) {
    problems.add("bindings", given, "a list of bindings");
    return out;
  }
  given.forEach((binding: unknown, i) => {
    if (typeof binding !== "object" || binding === null) {
      problems.add(`[${i}]`, binding, "an object with ip and mac");
      return;
    }
    const { ip, mac: macText } = binding as Readonly<Record<"ip" | "mac", unknown>>;
    const address = parseAddress(ip);
    const mac = parseMac(macText);
    if (!address) problems.add(`[${i}].ip`, ip, "an IPv4 or IPv6 address");
    if (!mac || !isStation(mac)) problems.add(`[${i}].mac`, macText, "a unicast MAC address as 02:00:00:00:00:07");
    if (!address || !mac) return;
    if (out.has(address.text)) problems.add(`[${i}].ip`, ip, "each address once");
    out.set(address.text, { ip: address.text, address: address.key, mac });
  });
  return out;
}

export function bindingOf({ ip, mac }: BindingEntry): Binding {
  return { ip, mac: formatMac(mac) };
}
