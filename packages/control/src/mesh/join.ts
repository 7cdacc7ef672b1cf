/**
 * Getting into a network with a token: the newcomer's half. It tries the hosts that it was given, in their order, a few times.
 *
 * Who answers has shown that it knows the token, no more. Whether it is a member follows from the records that it sends and
 * from the founder's key, which is in the token: that is for the caller to judge.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { type ErrorCode, messageOf, WeftError } from "../errors.js";
import type { Channel } from "./channel.js";
import { FRAME, FrameReader, frame, textOf } from "./framing.js";
import type { Identity } from "./identity.js";
import { decodeHello, EXPORTER_LABEL, EXPORTER_LEN, encodeJoin } from "./join-messages.js";
import { tokenPsk } from "./psk.js";
import { type Offence, readFrame, TlsChannel } from "./tls-channel.js";
import { DialError, openTls, resolveTargets, type Target, targetText } from "./tls-dial.js";
import type { Token } from "./token.js";
import type { NodeId } from "./types.js";

/** Milliseconds for one address: until it is connected, and until it has let us in. */
const CONNECT_MS = 2000;
const ADMIT_MS = 5000;
const ROUNDS = 3;
const PAUSE_MS = 1000;
/** Octets of records that are taken before the welcome. */
const RECORDS_MAX = 32 * 1024 * 1024;

/** All that a refusal tells, so that nobody can try tokens out: a wrong secret, a retired token and another network's look the same. */
const TOKEN_REFUSED = "token refused: unknown or wrong: run `weft token` on a member and give the one that it prints";

export interface JoinRequest {
  readonly token: Token;
  /** Hosts, likeliest first: `ADDR`, `ADDR:PORT`, `[ADDR]:PORT`, `NAME` or `NAME:PORT`. */
  readonly addresses: readonly string[];
  readonly identity: Identity;
  readonly name: string;
  /** Signed by us, our `node` record at least, as the gossip writes it; 48 KiB at most. */
  readonly records: Uint8Array;
  /** How often all hosts are tried (3). */
  readonly rounds?: number;
  readonly pauseMs?: number;
  readonly signal?: AbortSignal;
}

export interface Joined {
  /** To the member that has let us in. */
  readonly channel: Channel;
  readonly by: NodeId;
  /** Signed records, as the gossip writes them. Not judged yet. */
  readonly records: Buffer;
}

/**
 * @param offended counts why the link is ended, later
 * @throws WeftError with one problem per host: invalid_input when one of them refuses the token or this node, unavailable when none
 *   could be asked
 */
export async function joinNetwork(
  request: JoinRequest,
  offended: (offence: Offence) => void = () => undefined,
): Promise<Joined> {
  const { token, rounds = ROUNDS, pauseMs = PAUSE_MS, signal } = request;
  const psk = tokenPsk(token.networkId, token.secret);
  const refused: string[] = [];
  let hosts = request.addresses;
  for (let round = 1; ; round++) {
    const again: { host: string; problem: string }[] = [];
    for (const host of hosts) {
      try {
        return await joinAt(host, request, psk, offended);
      } catch (error) {
        if (!(error instanceof DialError)) throw error;
        if (error.failure === "unreachable" || error.failure === "broken") again.push({ host, problem: error.message });
        else refused.push(error.message);
      }
    }
    if (again.length === 0 || round >= rounds || signal?.aborted) {
      const problems = [...refused, ...again.map(({ problem }) => problem)];
      throw failure(refused.length > 0 ? "invalid_input" : "unavailable", "cannot join", problems);
    }
    hosts = again.map(({ host }) => host);
    // Told to stop: the next try fails at once.
    await sleep(pauseMs, undefined, { ...(signal && { signal }) }).catch(() => undefined);
  }
}

/** One sentence where one thing is wrong, else a list. */
export function failure(code: ErrorCode, what: string, problems: readonly string[]): WeftError {
  return new WeftError(code, problems.length === 1 ? `${what}: ${problems[0]}` : what, problems);
}

/** @throws DialError of the last of its addresses, or of the first that refuses */
async function joinAt(
  host: string,
  request: JoinRequest,
  psk: Buffer,
  offended: (offence: Offence) => void,
): Promise<Joined> {
  let last: DialError | undefined;
  for (const target of await resolveTargets(host)) {
    try {
      return await joinOne(target, request, psk, offended);
    } catch (error) {
      if (!(error instanceof DialError) || error.failure === "refused") throw error;
      last = error;
    }
  }
  throw last ?? new DialError("unreachable", `${host} has no address`);
}

async function joinOne(
  target: Target,
  request: JoinRequest,
  psk: Buffer,
  offended: (offence: Offence) => void,
): Promise<Joined> {
  const { token, signal } = request;
  const where = targetText(target);
  const socket = await openTls(
    target,
    { identity: { kind: "join", token: token.id }, psk },
    { timeoutMs: CONNECT_MS, signal, refused: () => `${where}: ${TOKEN_REFUSED}` },
  );
  const timer = setTimeout(() => socket.destroy(), ADMIT_MS);
  const onAbort = (): void => void socket.destroy();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const reader = new FrameReader();
    const { by, records } = await enter(socket, reader, where, request);
    return {
      channel: new TlsChannel(socket, reader, { node: by, isOutbound: true, remote: where }, offended),
      by,
      records,
    };
  } catch (error) {
    socket.destroy();
    if (error instanceof DialError) throw error;
    throw new DialError("broken", `${where}: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

async function enter(
  socket: TLSSocket,
  reader: FrameReader,
  where: string,
  request: JoinRequest,
): Promise<Omit<Joined, "channel">> {
  const { identity, token } = request;
  const exporter = socket.exportKeyingMaterial(EXPORTER_LEN, EXPORTER_LABEL, Buffer.alloc(0));
  const first = await readFrame(socket, reader);
  const hello = first.type === FRAME.HELLO ? decodeHello(first.body, exporter) : undefined;
  if (!hello)
    throw new DialError("refused", `${where} does not show who it is: it is no weft, or somebody is in between`);
  if (hello.networkId !== token.networkId)
    throw new DialError("refused", `${where} belongs to network ${hello.networkId}, the token to ${token.networkId}`);
  if (hello.node === identity.id)
    throw new DialError("refused", `${where} is this node itself: give the address of another one`);
  socket.write(frame(FRAME.JOIN, encodeJoin(identity, token.networkId, exporter, request)));
  const records: Buffer[] = [];
  for (let octets = 0; ; ) {
    const { type, body } = await readFrame(socket, reader);
    if (type === FRAME.WELCOME) break;
    if (type === FRAME.REFUSED) throw new DialError("refused", `${where} refuses: ${textOf(body)}`);
    octets += body.length;
    if (type !== FRAME.RECORDS || octets > RECORDS_MAX)
      throw new DialError("refused", `${where} sent what does not belong into a join: it is no weft of this version`);
    records.push(body);
  }
  return { by: hello.node, records: Buffer.concat(records) };
}
