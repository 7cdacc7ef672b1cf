/** A network's members and tokens in plain maps: a stand-in for the records, for tests of control links. */
import type { Membership } from "../../packages/control/dist/mesh/admission.js";
import type { Newcomer } from "../../packages/control/dist/mesh/join-messages.js";
import { newToken, type Token } from "../../packages/control/dist/mesh/token.js";

export class Members implements Membership {
  readonly networkId: string;
  readonly members = new Set<string>();
  readonly removed = new Set<string>();
  readonly secrets = new Map<string, Uint8Array | null>();
  readonly admitted: Newcomer[] = [];
  /** What a newcomer is given. */
  welcome: Uint8Array = Buffer.alloc(0);
  /** Thrown at the next admission. */
  refusal: Error | undefined;

  constructor(networkId: string) {
    this.networkId = networkId;
  }

  isMember(node: string): boolean {
    return this.members.has(node);
  }

  isRemoved(node: string): boolean {
    return this.removed.has(node);
  }

  *tokens(): Iterable<{ id: string; secret: Uint8Array | null }> {
    for (const [id, secret] of this.secrets) yield { id, secret };
  }

  admit(newcomer: Newcomer): Uint8Array {
    if (this.refusal) throw this.refusal;
    this.members.add(newcomer.id);
    this.admitted.push(newcomer);
    return this.welcome;
  }

  token(founder: string): Token {
    const token = newToken(this.networkId, founder);
    this.secrets.set(token.id, token.secret);
    return token;
  }
}
