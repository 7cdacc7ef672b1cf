/** How values are written: predicates over text, without any library, so that the command line can use them too. */
import { isIP, isIPv4 } from "node:net";

/** `[ADDR]:PORT`, `ADDR:PORT` or `ADDR` taken apart; undefined when it is none of them. */
export function splitEndpoint(text: string): { address: string; port: number | undefined } | undefined {
  if (isAddress(text)) return { address: text, port: undefined };
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (!parts) return undefined;
  const address = parts[1] ?? parts[2] ?? "";
  const port = Number(parts[3]);
  const family = isIP(address);
  if (port > 65_535 || !isAddress(address) || (parts[1] === undefined && family === 6)) return undefined;
  return { address, port };
}

/** An address without zone; not an IPv4 address in IPv6 dress, which would name one thing twice. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes("%") && !/^[0:]+:ffff:\d+\.[\d.]+$/i.test(text);
}

/** Whether a host can have this address: not unspecified, not multicast, not broadcast. */
export function isUnicast(address: string): boolean {
  if (isIPv4(address)) {
    const first = Number(address.split(".")[0]);
    return first > 0 && (first < 224 || first > 239) && address !== "255.255.255.255";
  }
  return isAddress(address) && !/^ff/i.test(address) && !/^[0:]+$/.test(address);
}

export function isCidr(text: string): boolean {
  const [address = "", length = "", ...rest] = text.split("/");
  const family = isIP(address);
  return (
    rest.length === 0 && isAddress(address) && /^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128)
  );
}

export function isMac(text: string): boolean {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0;
}

export function isVtep(text: string): boolean {
  const endpoint = splitEndpoint(text);
  return endpoint !== undefined && isUnicast(endpoint.address) && endpoint.port !== 0;
}

/** `ADDR:PORT` or `[ADDR]:PORT` of another host. */
export function isEndpoint(text: string): boolean {
  const endpoint = splitEndpoint(text);
  return endpoint?.port !== undefined && endpoint.port !== 0 && isUnicast(endpoint.address);
}

/** 32 octets in base64, in its one canonical form. */
export function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text);
}

/** `ADDR:PORT` to listen on, or `off`. Port 0 takes any free one. */
export function isListen(text: string): boolean {
  return text === "off" || splitEndpoint(text)?.port !== undefined;
}

export function isFileVia(text: string): boolean {
  return text === "blackhole" || isVtep(text);
}
