/** Removal and tokens at the product's Membership, with members that write what no weft would. */
import { randomBytes } from "node:crypto";
import t, { type Test } from "tap";
import { Membership } from "../../packages/control/src/fabric/membership.js";
import { MeshStore } from "../../packages/control/src/fabric/state.js";
import { openLog } from "../../packages/control/src/log/log.js";
import { Identity as Keys } from "../../packages/control/src/mesh/identity.js";
import type { RawRecord } from "../../packages/control/src/mesh/record.js";
import { RECORDS_MAX, RESERVED } from "../../packages/control/src/mesh/table.js";
import { parseToken } from "../../packages/control/src/mesh/token.js";
import { encodeRuns } from "../../packages/control/src/mesh/wire.js";
import { type Identity, NETWORK_ID, newIdentity, nodeValue, signedRecord } from "../sim/mesh-world.js";

/** The founder, on a port of its own that nobody dials. */
async function found(t: Test): Promise<Membership> {
  const seed = randomBytes(32);
  const identity = await Keys.fromSeed(seed);
  const keys = {
    ...{ networkId: NETWORK_ID, founder: identity.id, seed, wireguardKey: randomBytes(32), machine: null },
    createdAt: 0,
  };
  const membership = await Membership.open({
    config: {
      ...{ join: [], token: undefined, advertise: [], port: 0, wireguardPort: 1, discovery: true, cidr: undefined },
      wireguard: {
        ...{ address: [], peers: [], device: undefined, rekeyAfterMessages: undefined, keylog: undefined },
        peersMax: 1,
      },
    },
    standing: { keys, identity, token: undefined, isNew: true },
    name: "founder",
    // As Linux has its loopback.
    underlay: [{ address: "127.0.0.1", mtu: 65_536 }],
    stateDir: undefined,
    store: new MeshStore(undefined),
    log: await openLog({ level: "error", format: "json", name: "founder" }),
  });
  t.teardown(() => membership.close());
  return membership;
}

const secret = (): string => randomBytes(32).toString("base64url");
const tokenOf = (who: Identity, version: number, id: string, at = 1): RawRecord =>
  signedRecord<"token">(who, `token:${id}`, version, { secret: secret(), at });
function hear(membership: Membership, records: readonly RawRecord[]): void {
  membership.mesh.load(Buffer.concat([...encodeRuns(records, Number.POSITIVE_INFINITY)]));
}
/** Members that have said who they are, under their own names. */
function admit(membership: Membership, ...members: readonly Identity[]): void {
  for (const who of members)
    membership.mesh.admit(
      who.id,
      "m",
      Buffer.concat([...encodeRuns([signedRecord<"node">(who, "node", 1, nodeValue("m"))], 65_000)]),
    );
}
const valid = (membership: Membership): string[] =>
  membership
    .tokens()
    .filter(({ state }) => state === "valid")
    .map(({ id }) => id);

t.test("a member that has written the greatest time, or ids that are none, does not end the tokens", async (t) => {
  const membership = await found(t);
  const hostile = newIdentity();
  admit(membership, hostile);
  hear(membership, [
    tokenOf(hostile, 2, "f".repeat(16), Number.MAX_SAFE_INTEGER),
    tokenOf(hostile, 3, "no id", Number.MAX_SAFE_INTEGER),
  ]);
  t.equal(valid(membership).length, 2);
  membership.rotate();
  t.equal(valid(membership).length, 3);
  t.ok(parseToken(membership.token().token));
  membership.remove(hostile.id, true);
  t.equal(valid(membership).length, 1, "only the new one");
});

t.test("what a removed member knew opens nothing, also when the disk refuses the new token", async (t) => {
  const membership = await found(t);
  const [hostile, other] = [newIdentity(), newIdentity()];
  admit(membership, hostile, other);
  hear(membership, [tokenOf(other, 2, "a".repeat(16))]);
  const { records } = membership;
  const put = records.put.bind(records);
  t.intercept(records, "put", {
    value: (kind: "token", id: string, value: never) => {
      if (kind === "token") throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
      put(kind, id, value);
    },
    configurable: true,
  });
  t.throws(() => membership.remove(hostile.id, true), { code: "ENOSPC" });
  t.ok(records.isRemoved(hostile.id));
  t.same(valid(membership), []);
  t.throws(() => membership.token(), /weft token rotate/);
});

t.test("others see us elsewhere with every echo: written seldom, and a full disk ends nothing", async (t) => {
  const membership = await found(t);
  const { records } = membership;
  const later: (() => void)[] = [];
  t.intercept(globalThis, "setTimeout", {
    value: (run: () => void) => {
      later.push(run);
      return { unref: () => ({}) };
    },
  });
  const version = (): number => membership.mesh.known(records.self).recordVersion;
  const before = version();
  for (let i = 1; i <= 200; i++) membership.seenAt([`192.0.2.${i}:51820`]);
  t.equal(version(), before + 1);
  const put = t.intercept(records, "put", {
    value: () => {
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    },
    configurable: true,
  });
  later.at(-1)?.();
  put.restore();
  t.equal(version(), before + 1);
  later.at(-1)?.();
  t.match(records.get(records.self, "node")?.endpoints, ["127.0.0.1:1", "192.0.2.200:51820"]);
  later.at(-1)?.();
  t.equal(version(), before + 2);
});

t.test("a member that makes very many tokens does not keep another one in", async (t) => {
  const membership = await found(t);
  const [hostile, accomplice] = [newIdentity(), newIdentity()];
  admit(membership, hostile, accomplice);
  // Whatever else has filled our own room.
  const filling = Array.from({ length: RECORDS_MAX - RESERVED.records - 8 }, (_, i) => `d${i}`);
  membership.records.putAll(filling.map((id) => ({ kind: "dns" as const, id, value: { ips: [], srv: [] } })));
  const many = Array.from({ length: 300 }, (_, i) => tokenOf(accomplice, i + 2, i.toString(16).padStart(16, "0")));
  hear(membership, many);
  t.equal(valid(membership).length, 301);
  const [own] = membership.tokens();
  membership.remove(hostile.id, true);
  t.ok(membership.records.isRemoved(hostile.id));
  t.equal(membership.tokens().find(({ id }) => id === own?.id)?.state, "retired", "the founder's own goes first");
  membership.remove(accomplice.id, true);
  t.equal(valid(membership).length, 1);
});
