/** Lines of the key log that Wireshark reads (`wg.keylog_file`), as WireGuard's extract-handshakes.sh writes them. */

/** The secrets of one handshake, seen from this side; 32 octets each. */
export interface HandshakeSecrets {
  readonly privateKey: Uint8Array;
  readonly remotePublic: Uint8Array;
  readonly ephemeral: Uint8Array;
  /** All zero: none. */
  readonly preshared: Uint8Array;
}

/** The order matters: Wireshark ties the ephemeral and the preshared key to the static keys above them. */
export function keylogLines({ privateKey, remotePublic, ephemeral, preshared }: HandshakeSecrets): string {
  const line = (name: string, key: Uint8Array): string => `${name} = ${Buffer.from(key).toString("base64")}\n`;
  return (
    line("LOCAL_STATIC_PRIVATE_KEY", privateKey) +
    line("REMOTE_STATIC_PUBLIC_KEY", remotePublic) +
    line("LOCAL_EPHEMERAL_PRIVATE_KEY", ephemeral) +
    (preshared.some((octet) => octet !== 0) ? line("PRESHARED_KEY", preshared) : "")
  );
}
