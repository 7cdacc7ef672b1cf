/** All that the mesh does not do itself. A test hands in a virtual clock. */
export interface MeshSurroundings {
  /** Milliseconds; never goes back. */
  nowMs(): number;
  /** Milliseconds since 1970, for people. Nothing is decided by it. */
  wallMs(): number;
  /** Calls back once. Returns what cancels it. */
  after(ms: number, callback: () => void): () => void;
  /** 0 <= x < 1; decides who is asked and when, never a secret. */
  random(): number;
  /** Ed25519 with our own key: 64 octets. */
  sign(octets: Uint8Array): Uint8Array;
  /** Ed25519. @param key 32 octets */
  verify(signature: Uint8Array, octets: Uint8Array, key: Uint8Array): boolean;
  readonly log: MeshLog;
}

/** The part of a pino logger that is used. */
export interface MeshLog {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** What one of `list` is, or undefined when it is empty. */
export function pickOne<T>(list: readonly T[], random: () => number): T | undefined {
  return list[Math.floor(random() * list.length)];
}
