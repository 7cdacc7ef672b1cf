/**
 * Metrics of WireGuard. Without it the families are there without series, as those of ports are without ports; the three
 * that have no label are 0.
 */
import type { WireguardCounters } from "../dataplane/types.js";
import type { Family, Sample } from "./metrics.js";

const SESSIONS = ["none", "handshake", "established"] as const;

type Peer = WireguardCounters["peers"][number];

/** The label `peer` is the public key in base64. Series of a removed peer vanish. */
export function wireguardMetrics(counter: Family, gauge: Family): void {
  const counted = (name: string, help: string, labels: string[], samples: (w: WireguardCounters) => Sample[]): void =>
    counter(`weft_wireguard_${name}_total`, help, labels, ({ counters: { wireguard } }) =>
      wireguard ? samples(wireguard) : [],
    );
  const perPeer = (family: Family, name: string, help: string, value: (peer: Peer) => number): void =>
    family(`weft_wireguard_peer_${name}`, help, ["peer"], ({ counters }) =>
      (counters.wireguard?.peers ?? []).map((peer) => [{ peer: peer.publicKey }, value(peer)]),
    );

  counted("handshakes", "WireGuard handshakes by our role and result.", ["role", "result"], ({ handshakes }) =>
    handshakes.map(({ role, result, count }) => [{ role, result }, count]),
  );
  counted("rekeys", "Handshakes completed while an earlier session was still usable.", [], ({ rekeys }) => [
    [{}, rekeys],
  ]);
  counted("refused", "Handshake messages refused, by why.", ["reason"], ({ refused }) =>
    Object.entries(refused).map(([reason, count]) => [{ reason }, count]),
  );
  counted("cookie_replies", "Cookie replies, which ask a sender to try again while under load.", ["way"], (w) => [
    [{ way: "sent" }, w.cookiesSent],
    [{ way: "received" }, w.cookiesReceived],
  ]);
  counted("keepalives_sent", "Empty messages sent to keep sessions and NATs open.", [], (w) => [
    [{}, w.keepalivesSent],
  ]);
  counted("roams", "Times a peer was heard from another address.", [], ({ roams }) => [[{}, roams]]);

  for (const way of ["receive", "transmit"] as const) {
    const from = way === "receive" ? "from" : "to";
    perPeer(counter, `${way}_packets_total`, `WireGuard messages ${from} a peer.`, (p) => p[way].packets);
    perPeer(counter, `${way}_bytes_total`, `Octets of WireGuard messages ${from} a peer.`, (p) => p[way].bytes);
  }
  perPeer(
    gauge,
    "last_handshake_seconds",
    "When the last handshake with a peer was completed, in seconds since 1970; 0 for never.",
    ({ lastHandshake }) => (lastHandshake ?? 0) / 1000,
  );
  gauge(
    "weft_wireguard_peer_session",
    "1 for the state that the session with a peer is in.",
    ["peer", "state"],
    ({ counters }) =>
      (counters.wireguard?.peers ?? []).flatMap(({ publicKey, session }) =>
        SESSIONS.map((state): Sample => [{ peer: publicKey, state }, state === session ? 1 : 0]),
      ),
  );
}
