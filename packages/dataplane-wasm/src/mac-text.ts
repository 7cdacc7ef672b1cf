/** Apart from all else, for programs that only read and write addresses: a command line starts without the WebAssembly's host. */

/** `02:00:00:00:00:07` from the MAC's number in two words. */
export function macText(high: number, low: number): string {
  const hex = (high & 0xffff).toString(16).padStart(4, "0") + (low >>> 0).toString(16).padStart(8, "0");
  return (hex.match(/../g) as string[]).join(":");
}
