/**
 * Members write admissions, tombstones, networks and floors, as no weft would; observers hear them in any order. Whoever has exchanged
 * everything in the end has the same records, and the same members.
 */
import { sign } from "node:crypto";
import fc from "fast-check";
import t from "tap";
import { membership, type Tombstone } from "../../packages/control/src/mesh/members.js";
import type { RawRecord } from "../../packages/control/src/mesh/record.js";
import { RecordStore } from "../../packages/control/src/mesh/store.js";
import {
  type Identity,
  MemoryJournal,
  NETWORK_ID,
  newIdentity,
  signedRecord,
  VirtualClock,
  verifyOnce,
} from "../sim/mesh-world.js";

const WRITERS = Array.from({ length: 5 }, newIdentity);
const founder = WRITERS[0] as Identity;
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

class Observer {
  readonly journal = new MemoryJournal();
  readonly identity = newIdentity();
  store = this.#open();

  #open(): RecordStore {
    const clock = new VirtualClock();
    const surroundings = {
      ...{ nowMs: () => clock.now, wallMs: () => 0, random: () => 0.5, verify: verifyOnce, log },
      after: (ms: number, callback: () => void) => clock.after(ms, callback),
      sign: (octets: Uint8Array) => sign(null, octets, this.identity.key),
    };
    const { journal } = this;
    return new RecordStore({
      ...{ self: this.identity.id, networkId: NETWORK_ID, founder: founder.id, journal, surroundings },
    });
  }
  restart(): void {
    this.store.flush();
    this.store = this.#open();
  }
  get all(): RawRecord[] {
    return [...this.store.tables.nodes.values()].flatMap((table) => table.newerThan(0));
  }
  get view(): unknown {
    return {
      digest: this.store.tables.root.octets.toString("hex"),
      members: [...this.store.memberNodes()].sort(),
      networks: [...this.store.list("network"), ...this.store.listRemoved("network")]
        .map(({ node, id, version }) => `${node} ${id} ${version}`)
        .sort(),
    };
  }
}

const statement = fc.record({
  by: fc.nat(WRITERS.length - 1),
  what: fc.constantFrom("member" as const, "removed" as const, "network" as const, "floor" as const),
  about: fc.nat(WRITERS.length - 1),
  upTo: fc.nat(12),
});

t.test("all agree in the end, whatever they heard first, also after a restart", async (t) => {
  let removals = 0;
  fc.assert(
    fc.property(fc.array(statement, { maxLength: 24 }), fc.array(fc.nat(), { maxLength: 60 }), (said, order) => {
      const versions = new Map<Identity, number>();
      const records: RawRecord[] = WRITERS.slice(1).map((who, i) => {
        versions.set(founder, i + 1);
        return signedRecord<"member">(founder, `member:${who.id}`, i + 1, { name: "x", at: 0 });
      });
      for (const { by, what, about, upTo } of said) {
        const who = WRITERS[by] as Identity;
        const whom = (WRITERS[about] as Identity).id;
        const version = (versions.get(who) ?? 0) + 1;
        versions.set(who, version);
        if (what === "member")
          records.push(signedRecord<"member">(who, `member:${whom}`, version, { name: "y", at: upTo }));
        else if (what === "removed")
          records.push(signedRecord<"removed">(who, `removed:${whom}`, version, { at: 0, upTo, by: who.id }));
        else if (what === "network")
          records.push(
            signedRecord<"network">(who, `network:n${about}`, version, {
              ...{ clock: upTo, deleted: upTo > 9, vni: 5000 + about, cidr4: "10.9.0.0/24", cidr6: null, mtu: null },
              ...{ vteps: [], founder: founder.id, createdAt: 0 },
            }),
          );
        else records.push(signedRecord<"dns">(who, `dns:d${about}`, version, { ips: [], srv: [] }, version));
      }
      const observers = [new Observer(), new Observer(), new Observer()] as const;
      for (const [i, pick] of order.entries()) {
        const record = records[pick % records.length];
        if (record) (observers[i % 2] as Observer).store.receive([record], true);
        if (pick % 17 === 0) (observers[i % 2] as Observer).restart();
      }
      // One has missed nothing; what others have lost they have from it.
      for (const record of records) observers[2].store.receive([record], true);
      for (let round = 0; round < 4; round++)
        for (const from of observers) for (const to of observers) to.store.receive(from.all, true);
      const views = observers.map((one) => JSON.stringify(one.view));
      if (new Set(views).size !== 1) throw new Error(views.join("\n"));
      const before = views[0];
      observers[1].restart();
      if (JSON.stringify(observers[1].view) !== before) throw new Error("another after a restart");
      removals += WRITERS.filter(({ id }) => observers[0].store.isRemoved(id)).length;
    }),
    { numRuns: process.env.WEFT_TEST_LONG === "1" ? 20_000 : 400 },
  );
  t.ok(removals > 100, `${removals} nodes were removed`);
});

t.test("nobody that was removed turns on those above it", async (t) => {
  // Versions: node 0 is the founder and admits 1 and 2; 1 admits 3. All tombstones say that they have seen nothing.
  const admissions = new Map([
    [
      "0",
      new Map([
        ["1", 1],
        ["2", 2],
      ]),
    ],
    ["1", new Map([["3", 1]])],
  ]);
  const after = (by: string, whom: string, version: number, upTo = 0, of = by): [string, Map<string, Tombstone>] => [
    by,
    new Map([[whom, { version, upTo, by: of }]]),
  ];
  const removed = (...tombstones: ReturnType<typeof after>[]): string[] =>
    [...membership("0", { admissions, tombstones: new Map(tombstones) }).removed.keys()].sort();
  t.same(removed(after("0", "2", 3, 5), after("2", "0", 6)), ["2"]);
  t.same(removed(after("1", "2", 3, 5), after("2", "1", 6)), ["2"]);
  t.same(removed(after("1", "2", 3, 5), after("2", "1", 5)), ["1", "2"], "what it had said before holds");
  t.same(removed(after("2", "1", 3, 5), after("1", "2", 6)), ["2"]);
  // 3 was admitted by 1 after 2 had removed it; 2 ranks above 3.
  t.same(removed(after("0", "1", 3, 0), after("3", "2", 1)), ["1"]);
  // Whoever repeats a tombstone says whose it is.
  const tombstones = new Map([after("0", "3", 3, 5, "2"), after("1", "3", 4, 5, "0"), after("2", "3", 9)]);
  t.same(membership("0", { admissions, tombstones }).removed.get("3"), "2");
});
