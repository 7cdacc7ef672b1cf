/** The traffic programs of one window, started in the containers of a system. */
import { type Containers, other, type Side } from "./lab.js";
import { type Peer, startPeer } from "./peer.js";

const PORT = 5201;

type Answer = Partial<Record<string, number>>;

/** Programs at work. */
export interface Running {
  /** Resolves where the measured window begins. */
  readonly started: Promise<void>;
  /** Resolves at its end, to what the receiver measured. */
  readonly window: Promise<Answer>;
  /** What the other programs say when they have ended. */
  rest(): Promise<Answer>;
  /** Ends all of them. */
  stop(): Promise<void>;
}

/** @param measures the program that says "start" and then the result */
function running(measures: Peer, helps: readonly Peer[], saysMore: boolean): Running {
  const started = measures.line("start");
  const window = measures.result();
  // Whoever waits for one hears of a failure; the other must not be an unhandled rejection meanwhile.
  started.catch(() => undefined);
  window.catch(() => undefined);
  return {
    started,
    window,
    async rest() {
      const answers = saysMore ? await Promise.all(helps.map((peer) => peer.result())) : [];
      return Object.assign({}, ...answers) as Answer;
    },
    async stop() {
      await Promise.all([measures, ...helps].map((peer) => peer.stop()));
    },
  };
}

const limitOf = (warm: number, seconds: number): number => 2 * (warm + seconds) + 15;

/** @param from the sending side */
export async function startTcp(
  system: Containers,
  from: Side,
  streams: number,
  warm: number,
  seconds: number,
): Promise<Running> {
  const limit = limitOf(warm, seconds);
  const at = [system.address(other(from)), PORT];
  const receiver = startPeer(system.container(other(from)), ["tcp-recv", ...at, warm, seconds, streams], limit);
  await receiver.line("listening");
  return running(receiver, [startPeer(system.container(from), ["tcp-send", ...at, streams], limit)], true);
}

/**
 * UDP from a to b.
 * @param octets of payload
 * @param kpps thousand datagrams a second; 0: as fast as the sender can
 * @param flows source ports used in turn; 0: one ordinary socket
 */
export async function startUdp(
  system: Containers,
  octets: number | "imix",
  kpps: number,
  warm: number,
  seconds: number,
  flows = 0,
): Promise<Running> {
  const limit = limitOf(warm, seconds);
  const at = [system.address("b"), PORT];
  const receiver = startPeer(system.container("b"), ["udp-recv", ...at, warm, seconds], limit);
  await receiver.line("listening");
  const sender = startPeer(system.container("a"), ["udp-send", ...at, octets, Math.round(kpps * 1000), flows], limit);
  return running(receiver, [sender], false);
}

/** Datagrams from a to b and back, one at a time. */
export async function startPing(system: Containers, octets: number, warm: number, seconds: number): Promise<Running> {
  const limit = limitOf(warm, seconds);
  const at = [system.address("b"), PORT];
  const echo = startPeer(system.container("b"), ["echo", ...at], limit);
  await echo.line("listening");
  return running(startPeer(system.container("a"), ["ping", ...at, warm, seconds, octets], limit), [echo], false);
}
