/** Structs of WireGuard and its ciphers: see spec.ts, whose rules hold here too. */

type Field = readonly [name: string, type: string, doc: string];
/** By name; order of fields is order in memory. */
export type StructTable = Record<string, { doc: string; fields: readonly Field[] }>;

export const tunnelStructs: StructTable = {
  Aead: {
    doc: "ChaCha20-Poly1305 at work: one per worker. Holds key material only while a message is sealed or opened.",
    fields: [
      ["matrix", "octets:64", "ChaCha20's sixteen words: constants, key, block counter, nonce"],
      ["h", "octets:32", "Poly1305: the sum so far, four u64 limbs of 32 bits"],
      ["r", "octets:56", "Poly1305: r, four limbs, and 5/4 of the last three"],
      ["pad", "u64", ""],
      ["addend", "octets:16", "Poly1305: what is added at the end"],
      ["block", "octets:16", "a block in the making"],
      ["head", "octets:256", "the first four blocks of key stream"],
      ["tail", "octets:256", "the last four"],
      ["zeros", "octets:256", "always zeros: XORed with key stream to have it by itself"],
    ],
  },
  Blake2s: {
    doc: "BLAKE2s at work: one per worker.",
    fields: [
      ["h", "octets:32", "the hash so far"],
      ["v", "octets:64", "the working vector of a compression"],
      ["block", "octets:64", "a block in the making"],
    ],
  },
  Replay: {
    doc: "Counters of a receiving key that have been seen (RFC 6479).",
    fields: [
      ["next", "u64", "newest counter seen + 1; 0: none yet"],
      ["bits", "octets:2048", "a ring of REPLAY_WORDS words, one bit for each counter"],
    ],
  },
  Tunnel: {
    doc: "WireGuard as a whole. Double-buffered; written by the main thread.",
    fields: [
      ["isOn", "u32", "1: there is a WireGuard interface"],
      ["device", "u32", "port index + 1 of the TUN device that has the tunnel addresses; 0: none"],
      ["vxlanPort", "u32", "UDP port of VXLAN inside the tunnel"],
      ["listenPort", "u32", "UDP port of WireGuard itself"],
      ["rekeyAfter", "u64", "messages under one key after which KEY_WORN is told; at most 2^60 (REKEY_AFTER_MESSAGES)"],
      ["mac1Key", "octets:32", "key of mac1 in messages to us"],
      ["cookieSecret", "octets:32", "what cookies are made with now"],
      ["source4", "octets:16", "source of VXLAN inside the tunnel, as ::ffff:a.b.c.d; 0: no such address"],
      ["source6", "octets:16", "the same for IPv6"],
      ["v4Lens", "u64", "bit n: allowedIps have an IPv4 prefix of length n (0..32)"],
      ["v6Lens0", "u64", "bit n: an IPv6 prefix of length n (0..63)"],
      ["v6Lens1", "u64", "the same for 64..127"],
      ["v6Lens2", "u64", "bit 0: an IPv6 prefix of length 128"],
      ["probePort", "u32", "UDP port of probes inside the tunnel; 0: no mesh, that is no relaying either"],
      ["leastMtu", "u32", "octets of the longest packet on the narrowest path; 0: no mesh"],
    ],
  },
  Peer: {
    doc: "A WireGuard peer. Double-buffered; written by the main thread.",
    fields: [
      ["flags", "u16", "PEER bits"],
      ["via", "u16", "peer index + 1 that messages for this one are sent to, sealed once more; 0: directly"],
      ["sendKey", "u32", "key slot + 1 that seals; 0: none"],
      ["port", "u16", "UDP port of its endpoint, host order; 0: not known"],
      ["family", "u8", "4 or 6"],
      ["pad0", "u8", ""],
      ["mtu", "u32", "octets of the longest packet inside the session that the path carries; not padded beyond"],
      ["addr", "octets:16", "address of its endpoint, IPv4 as ::ffff:a.b.c.d"],
      ["local", "octets:16", "address of ours to send from; 0: the kernel chooses"],
      ["tunnelAddr", "octets:16", "IPv6 address of the peer inside the tunnel; 0: none"],
    ],
  },
  Key: {
    doc: "The two keys of a session. Written by the main thread while state is FREE or HANDSHAKE, then by workers as said.",
    fields: [
      ["state", "u32", "KEY (atomic)"],
      ["local", "u32", "receiver index that the peer writes: worker in the low octet, then 16 bits of slot, 8 random"],
      ["remote", "u32", "receiver index that we write"],
      ["peer", "u32", "peer index"],
      ["bornMs", "u32", "when the handshake ended, as Worker.nowMs"],
      ["used", "u32", "1: authenticated data has come; written by the worker that receives"],
      ["worn", "u32", "1: KEY_WORN was told (atomic)"],
      ["pad", "u32", ""],
      ["counter", "u64", "messages sealed: the counter of the next (atomic)"],
      ["send", "octets:32", "key that seals"],
      ["receive", "octets:32", "key that opens"],
      ["replay", "octets:2056", "a Replay; written by the worker that receives"],
    ],
  },
  PeerLive: {
    doc: "When something last happened with a peer, as Worker.nowMs (0: never), one block per worker. Timers run on the main thread.",
    fields: [
      ["sentMs", "u32", "authenticated message sent"],
      ["sentDataMs", "u32", "the same, with data in it"],
      ["receivedMs", "u32", "authenticated message received"],
      ["receivedDataMs", "u32", "the same, with data in it"],
      ["askedMs", "u32", "NO_SESSION told"],
      ["roamedMs", "u32", "ROAMED told"],
      ["probeTick", "u32", "tick + 1 in which probes are counted; 0: none yet"],
      ["probeCount", "u32", "probes in it"],
    ],
  },
  PeerCounters: {
    doc: "Traffic of a WireGuard peer, one block per worker. Data messages; octets of UDP payload, as `wg show` counts.",
    fields: [
      ["rxPackets", "u64", ""],
      ["rxBytes", "u64", ""],
      ["txPackets", "u64", ""],
      ["txBytes", "u64", ""],
    ],
  },
  Punt: {
    doc: "A handshake message, or a probe, for the main thread.",
    fields: [
      ["len", "u32", "octets of it, or of what is kept of a probe"],
      ["flags", "u32", "PUNT bits"],
      ["source", "u32", "RECEIVER"],
      ["port", "u32", "outer source port; of a relayed message, the one inside the tunnel"],
      [
        "addr",
        "octets:16",
        "outer source address, IPv4 as ::ffff:a.b.c.d; of a relayed message, the one inside the tunnel",
      ],
      ["local", "octets:16", "the address of ours that it was sent to"],
      ["peer", "u32", "PUNT_PROBE: index of the peer that has sealed it"],
      ["via", "u32", "peer index + 1 that it came through; 0: directly"],
      ["total", "u32", "PUNT_PROBE: octets of the IP packet"],
      ["pad", "u32", ""],
      ["message", "octets:152", "the message"],
    ],
  },
};
