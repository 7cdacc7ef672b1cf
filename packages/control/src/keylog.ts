/** The warning about `--wireguard-keylog`: loud, in the log and in `weft status`. */
export function keylogText(path: string): string {
  return `THE PRIVATE KEY AND THE KEYS OF ALL WIREGUARD SESSIONS ARE WRITTEN TO ${path} (--wireguard-keylog): whoever reads it reads all traffic and can pose as this host`;
}
