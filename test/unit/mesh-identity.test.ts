/** Node identities, keys of control links and tunnel addresses, against published vectors and ones computed without this code. */
import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import t from "tap";
import { parseAddress } from "../../packages/control/dist/dataplane/address.js";
import {
  Identity,
  isNetworkId,
  networkOctets,
  newNetworkId,
  nodeIdOf,
  readNodeId,
  verify,
} from "../../packages/control/dist/mesh/identity.js";
import { LinkKeys, pskIdentityText, readPskIdentity, tokenPsk } from "../../packages/control/dist/mesh/psk.js";
import { tunnelAddress, tunnelAddress4, tunnelPrefix } from "../../packages/control/dist/mesh/tunnel-address.js";

const NETWORK = "000102030405060708090a0b0c0d0e0f";
const hex = (text: string): Buffer => Buffer.from(text, "hex");
/** RFC 8032 §7.1, tests 1 and 2. */
const SEED_1 = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
const SEED_2 = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
const ID_1 = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

t.test("identity: signs as RFC 8032 §7.1 says", async (t) => {
  const one = await Identity.fromSeed(SEED_1);
  t.equal(one.id, ID_1);
  t.equal(Buffer.from(one.publicKey).toString("base64url"), ID_1);
  t.equal(
    Buffer.from(one.sign(Buffer.alloc(0))).toString("hex"),
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  );
  const two = await Identity.fromSeed(SEED_2);
  const signature = two.sign(hex("72"));
  t.match(Buffer.from(signature).toString("hex"), /^92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da/);
  t.ok(verify(signature, hex("72"), two.publicKey));
  t.notOk(verify(signature, hex("73"), two.publicKey));
  t.notOk(verify(signature, hex("72"), one.publicKey));
  await t.rejects(Identity.fromSeed(Buffer.alloc(31)), RangeError);
});

t.test("identity: wrong keys and signatures are false, never an error", async (t) => {
  const one = await Identity.fromSeed(SEED_1);
  for (const length of [0, 31, 33, 64]) t.notOk(verify(Buffer.alloc(64), Buffer.alloc(1), Buffer.alloc(length)));
  for (const length of [0, 63, 65]) t.notOk(verify(Buffer.alloc(length), Buffer.alloc(1), one.publicKey));
  for (const octet of [0, 1, 255]) t.notOk(verify(Buffer.alloc(64), Buffer.alloc(1), Buffer.alloc(32, octet)));
});

t.test("identity: every changed bit of a signature or of what is signed is noticed", async () => {
  const one = await Identity.fromSeed(SEED_1);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat(), (octets, at) => {
      const signature = one.sign(octets);
      const flip = (of: Uint8Array): Uint8Array => {
        const changed = Uint8Array.from(of);
        const bit = at % (of.length * 8);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        return changed;
      };
      return (
        verify(signature, octets, one.publicKey) &&
        !verify(flip(signature), octets, one.publicKey) &&
        !verify(signature, flip(octets), one.publicKey)
      );
    }),
    { numRuns: 100 },
  );
});

t.test("identity: two nodes share a secret, which nothing prints", async (t) => {
  const [one, two] = [await Identity.fromSeed(SEED_1), await Identity.fromSeed(SEED_2)];
  const secret = "5166f24a6918368e2af831a4affadd97af0ac326bdf143596c045967cc00230e";
  t.equal(Buffer.from(one.agree(two.id)!).toString("hex"), secret);
  t.equal(Buffer.from(two.agree(one.id)!).toString("hex"), secret);
  t.same(Object.keys(one).sort(), ["id", "publicKey"]);
  t.notMatch(inspect(one, { depth: 9, showHidden: true }), /scalar|secret/i);
  for (const bad of [
    "",
    "x",
    `${ID_1}=`,
    `${ID_1}A`,
    nodeIdOf(Buffer.alloc(32)),
    nodeIdOf(Buffer.alloc(32, 255)),
    `${ID_1.slice(0, 42)}p`,
  ])
    t.equal(one.agree(bad), undefined, bad);
});

t.test("node and network ids have one form each", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      const read = readNodeId(nodeIdOf(key));
      return read?.equals(key) === true;
    }),
  );
  for (const bad of ["", ID_1.slice(1), `${ID_1} `, ID_1.replace("_", "/"), `${ID_1.slice(0, 42)}p`])
    t.notOk(readNodeId(bad), bad);
  t.ok(isNetworkId(newNetworkId()));
  t.not(newNetworkId(), newNetworkId());
  t.equal(networkOctets(NETWORK).length, 16);
  for (const bad of ["", NETWORK.slice(1), `${NETWORK}0`, NETWORK.toUpperCase()])
    t.throws(() => networkOctets(bad), RangeError);
});

t.test("keys of links: HKDF-SHA256 with the network id as salt, the same at both ends", async (t) => {
  const [one, two] = [await Identity.fromSeed(SEED_1), await Identity.fromSeed(SEED_2)];
  const psk = new LinkKeys(one, NETWORK).with(two.id)!;
  t.equal(psk.toString("hex"), "9306e7844faf9618c91e93ca16f2d62805ad24699cddcf9dc05e714c50ed465c");
  t.same(new LinkKeys(two, NETWORK).with(one.id), psk);
  t.notSame(new LinkKeys(one, newNetworkId()).with(two.id), psk);
  t.equal(
    tokenPsk(NETWORK, Buffer.from(Array.from({ length: 32 }, (_, i) => i))).toString("hex"),
    "72b698c5de1a24cba1ec2acb926776e6ca3e50062d23761bd9acdb8c830c0730",
  );
});

t.test("keys of links: derived once each, and a bounded number is kept", async (t) => {
  const one = await Identity.fromSeed(SEED_1);
  const keys = new LinkKeys(one, NETWORK);
  const first = (await Identity.fromSeed(SEED_2)).id;
  const psk = keys.with(first);
  t.equal(keys.with(first), psk, "the same object");
  t.equal(keys.with("no id"), undefined);
  t.equal(keys.size, 1);
  let made = 0;
  for (let i = 0; made < 1100; i++) {
    const { id } = await Identity.fromSeed(Buffer.alloc(32, String(i)));
    if (keys.with(id)) made++;
    if (i === 500) t.equal(keys.with(first), psk, "used again");
  }
  t.equal(keys.size, 1024);
  t.same(keys.with(first), psk, "forgotten or not, it is the same key");
});

t.test("identities in the handshake: what is neither a node nor a token is nobody", async (t) => {
  for (const who of [
    { kind: "node", node: ID_1 },
    { kind: "join", token: "0011223344556677" },
  ] as const)
    t.same(readPskIdentity(pskIdentityText(who)), who);
  for (const bad of [
    "",
    "node:",
    `node:${ID_1}A`,
    `Node:${ID_1}`,
    "join:",
    "join:00112233445566",
    "join:0011223344556677\n",
    "join:001122334455667G",
  ])
    t.equal(readPskIdentity(bad), undefined, JSON.stringify(bad));
});

t.test("tunnel addresses follow from network and key, and all lie in the network's /48", async (t) => {
  t.equal(tunnelAddress(NETWORK, ID_1), "fd33:2cf:296d:1518:79c0:de42:fc26:40b1");
  t.equal(tunnelPrefix(NETWORK), "fd33:2cf:296d::/48");
  t.throws(() => tunnelAddress(NETWORK, "x"), RangeError);
  t.match(tunnelAddress4(NETWORK, ID_1), /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d+\.\d+$/);
  t.equal(tunnelAddress4(NETWORK, ID_1), tunnelAddress4(NETWORK, ID_1));
  t.throws(() => tunnelAddress4(NETWORK, "x"), RangeError);
  t.throws(() => tunnelAddress("x", ID_1), RangeError);
  const seen = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    const address = tunnelAddress(NETWORK, nodeIdOf(randomBytes(32)));
    t.equal(parseAddress(address)?.text, address, "the form that the data plane uses");
    seen.add(address);
    if (!address.startsWith("fd33:2cf:296d:")) t.fail(address);
  }
  t.equal(seen.size, 1000);
});
