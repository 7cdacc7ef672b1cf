/**
 * A device name that the kernel takes literally: no `%` (a pattern), no name of a sysctl directory. Printable ASCII.
 */
export function isIfname(text: string): boolean {
  return /^(?!(?:\.{1,2}|all|default)$)[!-$&-.0-9;-~]{1,15}$/.test(text);
}
