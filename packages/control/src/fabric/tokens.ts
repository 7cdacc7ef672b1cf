/**
 * Join tokens as the records of all members have them. Any member makes tokens and retires them, so whatever is in a record may
 * be what no weft would write.
 */
import type { TokenValue } from "../mesh/records.js";
import { newToken } from "../mesh/token.js";
import type { NodeId, Records } from "../mesh/types.js";
import type { TokenInfo } from "../mesh-answers.js";

const TOKEN_ID = /^[0-9a-f]{16}$/;
/** Tokens that one removal retires: far more than there ever are. Those of members that have made the fewest come first. */
const RETIRED_AT_ONCE = 128;

interface Put {
  readonly kind: "token";
  readonly id: string;
  readonly value: TokenValue;
}

/** The latest first. */
export function tokenInfos(records: Records): TokenInfo[] {
  const retired = retiredTokens(records);
  const tokens = new Map<string, TokenInfo>();
  for (const { node, id, value } of records.list("token")) {
    if (!TOKEN_ID.test(id)) continue;
    const known = tokens.get(id);
    const state = retired.has(id) ? "retired" : "valid";
    const made = value.secret !== null ? { createdAt: value.at, node } : known;
    tokens.set(id, { id, state, createdAt: made?.createdAt ?? value.at, node: made?.node ?? node });
  }
  return [...tokens.values()].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1));
}

export function* secretsOf(records: Records): Iterable<{ id: string; secret: Uint8Array | null }> {
  const retired = retiredTokens(records);
  for (const { id, value } of records.list("token"))
    yield { id, secret: value.secret === null || retired.has(id) ? null : Buffer.from(value.secret, "base64url") };
}
export function secretOf(records: Records, wanted: string): Uint8Array | undefined {
  for (const { id, secret } of secretsOf(records)) if (id === wanted && secret !== null) return secret;
  return undefined;
}

/** A token that nobody knows yet, later than all others. */
export function freshToken(records: Records, nowMs: number): Put {
  const token = newToken(records.networkId, records.founder);
  let at = nowMs;
  for (const { value } of records.list("token")) at = Math.max(at, value.at + 1);
  const secret = Buffer.from(token.secret).toString("base64url");
  // A member may have written the greatest time that there is.
  return { kind: "token", id: token.id, value: { secret, at: Math.min(at, Number.MAX_SAFE_INTEGER) } };
}

/** What retires every token that a member knows and that its own removal does not end. */
export function retirements(records: Records, member: NodeId): Put[] {
  const retired = retiredTokens(records);
  const made = new Map<NodeId, Map<string, number>>();
  for (const { node, id, value } of records.list("token"))
    if (node !== member && value.secret !== null && !retired.has(id))
      made.set(node, (made.get(node) ?? new Map()).set(id, value.at));
  const inOrder = new Map([...made.values()].sort((a, b) => a.size - b.size).flatMap((tokens) => [...tokens]));
  return [...inOrder].slice(0, RETIRED_AT_ONCE).map(([id, at]) => ({ kind: "token", id, value: { secret: null, at } }));
}

/** For ever, also by those who are no members any more: nobody's leaving makes a token valid again. */
function retiredTokens(records: Records): Set<string> {
  const all = [...records.list("token"), ...records.listRemoved("token")];
  return new Set(all.filter(({ value }) => value.secret === null).map(({ id }) => id));
}
