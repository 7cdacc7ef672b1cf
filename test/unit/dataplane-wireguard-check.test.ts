/** What WireGuard is given: every wrong input is named, all at once, and no key is ever shown. */
import { randomBytes } from "node:crypto";
import { Dataplane, InvalidInput } from "@weft/control";
import { MemoryLink } from "@weft/tun";
import fc from "fast-check";
import t from "tap";
import { Problems, InvalidInput as Refusal } from "../../packages/control/dist/dataplane/invalid.js";
import { checkPeers, checkWireguard } from "../../packages/control/dist/dataplane/wireguard-check.js";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";

const SECRET = randomBytes(32);
const SECRETS = [
  SECRET.toString("base64"),
  SECRET.toString("hex"),
  JSON.stringify(SECRET).slice(1, 60),
  JSON.stringify({ ...SECRET }).slice(1, 40),
  [...SECRET].join(",").slice(0, 40),
];
const OWN = randomBytes(32);
const own = publicKeyText(OWN);
const other = publicKeyText(randomBytes(32));
const link = new MemoryLink({ addresses: ["10.9.0.1"] });
const around = { vxlanPort: 4789, families: [4], link } as const;
const peerAround = { ownKey: own, peersMax: 4, families: [4] } as const;
const good = { privateKey: OWN, address: ["10.7.0.1"] };

const keysOf = (problems: Problems): string[] => problems.list.map((p) => p.key);
function hasSecret(problems: Problems): boolean {
  const { message } = new Refusal("data plane options", problems.list);
  return SECRETS.some((secret) => message.includes(secret) || JSON.stringify(problems.list).includes(secret));
}
/** Everything that is found in a specification, `wireguard.` left off. */
function found(given: unknown): string[] {
  const problems = new Problems("");
  const checked = checkWireguard(given as never, around, problems);
  if ((checked === undefined) !== problems.list.length > 0) throw new Error("an answer with problems, or none without");
  if (hasSecret(problems)) throw new Error(`a key is shown: ${JSON.stringify(problems.list)}`);
  return keysOf(problems).map((k) => k.replace(/^wireguard\./, ""));
}
function foundInPeer(given: unknown): string[] {
  const problems = new Problems("");
  checkPeers([given], "peers", peerAround, problems);
  if (hasSecret(problems)) throw new Error(`a key is shown: ${JSON.stringify(problems.list)}`);
  return keysOf(problems).map((k) => k.replace(/^peers\[0\]\.?/, ""));
}

t.test("one wrong thing each", async (t) => {
  t.same(found(good), []);
  const cases: readonly (readonly [what: object, ...keys: string[]])[] = [
    [{ privateKey: undefined }, "privateKey"],
    [{ privateKey: SECRET.toString("base64") }, "privateKey"],
    [{ privateKey: SECRET.subarray(1) }, "privateKey"],
    [{ privateKey: [...SECRET] }, "privateKey"],
    [{ listenPort: 0 }, "listenPort"],
    [{ listenPort: 65_536 }, "listenPort"],
    [{ listenPort: "51820" }, "listenPort"],
    [{ listenPort: 4789 }, "listenPort"],
    [{ listenPort: 1n }, "listenPort"],
    [{ address: undefined }, "address"],
    [{ address: [] }, "address"],
    [{ address: "10.7.0.1" }, "address", "address"],
    [{ address: Array.from({ length: 9 }, (_, i) => `10.7.0.${i}`) }, "address"],
    [{ address: ["10.7.0.1/24", "10.7.0.2", "10.7.0.2", "10.9.0.1"] }, "address[0]", "address[2]", "address[3]"],
    [{ address: ["::ffff:10.7.0.1", "fe80::1%eth0", 7, null] }, "address[0]", "address[1]", "address[2]", "address[3]"],
    [{ device: "" }, "device"],
    [{ device: "a/b" }, "device"],
    [{ device: "sixteen-octets-x" }, "device"],
    [{ device: 7 }, "device"],
    [{ peersMax: 0 }, "peersMax"],
    [{ peersMax: 4097 }, "peersMax"],
    [{ rekeyAfterMessages: 0 }, "rekeyAfterMessages"],
    [{ rekeyAfterMessages: 2 ** 53 }, "rekeyAfterMessages"],
    [{ rekeyAfterMessages: Number.NaN }, "rekeyAfterMessages"],
    [{ keylog: "" }, "keylog"],
    [{ keylog: true }, "keylog"],
    [{ peers: {} }, "peers"],
    [{ peers: [{ publicKey: own }] }, "peers[0].publicKey"],
    [{ mtu: 1420 }, "mtu"],
  ];
  for (const [what, ...keys] of cases) t.same(found({ ...good, ...what }), keys, Object.keys(what).join());
  for (const nothing of [null, 0, "", "wg0", [], 7n, SECRET.toString("base64"), true])
    t.ok(found(nothing).includes("wireguard"), typeof nothing);
});

t.test("one wrong thing each in a peer", async (t) => {
  const right = { publicKey: other, endpoint: "10.9.0.2:51820", allowedIps: ["10.7.0.2/32", "0.0.0.0/0", "fd07::/64"] };
  t.same(foundInPeer({ ...right, presharedKey: SECRET, persistentKeepalive: 25 }), []);
  const cases: readonly (readonly [what: object, ...keys: string[]])[] = [
    [{ publicKey: undefined }, "publicKey"],
    [{ publicKey: SECRET }, "publicKey"],
    [{ publicKey: `${other}\n` }, "publicKey"],
    [{ publicKey: other.replace(/=$/, "") }, "publicKey"],
    [{ publicKey: `${SECRET.toString("base64")} ` }, "publicKey"],
    [{ publicKey: own }, "publicKey"],
    [{ endpoint: "10.9.0.2" }, "endpoint"],
    [{ endpoint: "10.9.0.2:0" }, "endpoint"],
    [{ endpoint: "10.9.0.2:65536" }, "endpoint"],
    [{ endpoint: "host.example:51820" }, "endpoint"],
    [{ endpoint: "[fd09::2]:51820" }, "endpoint"],
    [{ endpoint: "fd09::2:51820" }, "endpoint"],
    [{ endpoint: SECRET }, "endpoint"],
    [{ endpoint: SECRET.toString("base64") }, "endpoint"],
    [{ endpoint: null }, "endpoint"],
    [{ allowedIps: "10.7.0.2/32" }, "allowedIps"],
    [{ allowedIps: ["10.7.0.2", "10.7.0.2/24", "10.7.0.0/33", 7] }, ...[0, 1, 2, 3].map((i) => `allowedIps[${i}]`)],
    [
      { allowedIps: ["fd07::1/64", "::ffff:10.7.0.0/112", SECRET.toString("hex")] },
      ...[0, 1, 2].map((i) => `allowedIps[${i}]`),
    ],
    [{ presharedKey: SECRET.toString("base64") }, "presharedKey"],
    [{ presharedKey: SECRET.subarray(1) }, "presharedKey"],
    [{ presharedKey: null }, "presharedKey"],
    [{ persistentKeepalive: -1 }, "persistentKeepalive"],
    [{ persistentKeepalive: 65_536 }, "persistentKeepalive"],
    [{ persistentKeepalive: 0.5 }, "persistentKeepalive"],
    [{ persistentKeepalive: "25" }, "persistentKeepalive"],
    [{ persistentKeepalive: 25n }, "persistentKeepalive"],
    [{ psk: SECRET }, "psk"],
    [{ privateKey: SECRET.toString("base64") }, "privateKey"],
    [{ privateKey: { type: "Buffer", data: [...SECRET] } }, "privateKey"],
  ];
  for (const [what, ...keys] of cases) t.same(foundInPeer({ ...right, ...what }), keys, Object.keys(what).join());
  for (const nothing of [null, undefined, 7, 7n, [], SECRET, SECRET.toString("base64")]) {
    t.ok(foundInPeer(nothing).includes("publicKey"), typeof nothing);
  }
});

t.test("all problems at once, of the data plane's options too", async (t) => {
  const wrong = {
    underlay: ["10.9.0.1"],
    link,
    vxlanPort: 0,
    wireguard: {
      privateKey: "x",
      listenPort: -1,
      address: ["10.9.0.1"],
      peersMax: 2,
      peers: [
        { publicKey: "x", endpoint: "y", allowedIps: ["z"], persistentKeepalive: -1 },
        { publicKey: other, allowedIps: ["10.7.0.0/24", "10.7.0.0/24"] },
        { publicKey: other, allowedIps: ["10.7.0.0/24"], colour: "blue" },
      ],
    },
  };
  const error = await Dataplane.start(wrong as never).catch((e: unknown) => e);
  t.type(error, InvalidInput);
  t.same(
    (error as InvalidInput).problems.map((p) => p.key),
    [
      "vxlanPort",
      "wireguard.privateKey",
      "wireguard.listenPort",
      "wireguard.address[0]",
      "wireguard.peers",
      "wireguard.peers[0].publicKey",
      "wireguard.peers[0].endpoint",
      "wireguard.peers[0].allowedIps[0]",
      "wireguard.peers[0].persistentKeepalive",
      "wireguard.peers[2].colour",
    ],
  );
  for (const wireguard of [null, 0, "", false, SECRET.toString("base64")]) {
    const refused = await Dataplane.start({ underlay: ["10.9.0.1"], link, wireguard } as never).catch(
      (e: unknown) => e,
    );
    t.type(refused, InvalidInput, `${typeof wireguard} is not "no WireGuard"`);
    t.notOk(String(refused).includes(SECRETS[0] as string));
  }
});

t.test("lists of peers as a whole", async (t) => {
  const list = (peers: unknown): string[] => {
    const problems = new Problems("");
    checkPeers(peers, "peers", peerAround, problems);
    return keysOf(problems);
  };
  const key = (): string => publicKeyText(randomBytes(32));
  t.same(list([]), []);
  t.same(list(undefined), ["peers"]);
  t.same(list(SECRETS[0]), ["peers"]);
  t.same(list(Array.from({ length: 5 }, () => ({ publicKey: key() }))), ["peers"]);
  const [one, two] = [key(), key()];
  t.same(list([{ publicKey: one }, { publicKey: two }, { publicKey: one }]), ["peers[2].publicKey"]);
  // One prefix, however it is written, has one owner; shorter and longer ones around it may have others.
  t.same(
    list([
      { publicKey: one, allowedIps: ["10.7.0.0/24", "fd07:0::/64"] },
      { publicKey: two, allowedIps: ["10.7.0.0/25", "10.7.0.0/24", "fd07::/64"] },
    ]),
    ["peers[1].allowedIps[1]", "peers[1].allowedIps[2]"],
  );
  const prefixes = Array.from({ length: 33 }, (_, i) => `10.7.${i}.0/24`);
  t.same(list([{ publicKey: one, allowedIps: prefixes }]), ["peers"], "8 for each of peersMax");
  t.same(list([{ publicKey: one, allowedIps: prefixes.slice(1) }]), []);
});

t.test("whatever is given: problems or an answer, and no key in what is said", async (t) => {
  const value = fc.oneof(
    fc.constantFrom<unknown>(SECRET, SECRETS[0], SECRETS[1], [...SECRET], { k: SECRET }, [SECRET], [SECRETS[0]], OWN),
    fc.constantFrom<unknown>(undefined, null, 1n, Number.NaN, -0, "", "10.7.0.1", ["10.7.0.1"], own, other, true),
    fc.anything({ withBigInt: true, withTypedArray: true, withMap: true, maxDepth: 2 }),
  );
  const peer = fc.record(
    {
      publicKey: value,
      endpoint: value,
      allowedIps: value,
      presharedKey: value,
      persistentKeepalive: value,
      extra: value,
    },
    { requiredKeys: [] },
  );
  const spec = fc.record(
    {
      privateKey: value,
      listenPort: value,
      address: value,
      device: value,
      peers: fc.oneof(value, fc.array(fc.oneof(peer, value), { maxLength: 3 })),
      peersMax: value,
      rekeyAfterMessages: value,
      keylog: value,
      extra: value,
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(spec, value), (given) => {
      found(given);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
