/** Kernel features in words: which are used, and why the others are not. */

/** Names that a user has switched off: WEFT_DISABLE of the daemon. */
export function switchedOff(text: string | undefined = process.env.WEFT_DISABLE): string[] {
  return (text ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/**
 * One sentence about all of them, whichever there are: switches by name, numbers with their value.
 *
 * @param features as the link has probed them; `kernel` is the kernel's release.
 * @param disabled see `switchedOff`; what hangs on one of these goes with it.
 */
export function featuresText(features: Readonly<Record<string, unknown>>, disabled: readonly string[]): string {
  const { kernel, ...rest } = features;
  const named = Object.entries(rest);
  const used = named
    .filter(([, value]) => value === true || typeof value === "number")
    .map(([name, value]) => (value === true ? name : `${name} ${value}`));
  const unused = named.filter(([, value]) => value === false).map(([name]) => name);
  const off = unused.filter((name) => disabled.includes(name));
  const missing = unused.filter((name) => !disabled.includes(name));
  const parts = [`${used.length > 0 ? used.join(" ") : "no features"}`];
  if (off.length > 0) parts.push(`off by WEFT_DISABLE: ${off.join(" ")}`);
  if (missing.length > 0)
    parts.push(`${off.length > 0 ? "needs one of those, or is not" : "not"} in this kernel: ${missing.join(" ")}`);
  return `${String(kernel)}: ${parts.join("; ")}`;
}
