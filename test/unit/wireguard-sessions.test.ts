/** Which session seals, and which goes when there are too many; the key table is a double. */
import t from "tap";
import { Sessions } from "../../packages/control/src/wireguard/sessions.js";
import { Slots } from "../../packages/control/src/wireguard/slots.js";
import type { KeyTable, Role } from "../../packages/control/src/wireguard/surroundings.js";

function make() {
  let next = 0;
  const retired: number[] = [];
  const seals: (number | undefined)[] = [];
  const keys: KeyTable = {
    reserve: () => ({ slot: next, local: 1000 + next++ }),
    install: () => undefined,
    setSendSlot: (_peer, slot) => void seals.push(slot),
    retire: (slot) => void retired.push(slot),
    takeCounter: () => 0n,
  };
  const slots = new Slots<string>(keys);
  let unused = 0;
  const sessions = new Sessions<string>(0, keys, slots, () => unused++);
  const add = (role: Role, bornMs = 0): number => {
    const slot = slots.reserve("peer", 0);
    if (!slot) throw new Error("no slot");
    sessions.add({ ...slot, remote: 0, role, bornMs, send: Buffer.alloc(32, 1), isConfirmed: false, isWorn: false });
    return slot.slot;
  };
  const use = (slot: number): boolean => {
    const session = sessions.find(slot);
    if (!session) throw new Error("no session");
    return sessions.confirm(session);
  };
  return { sessions, slots, retired, seals, add, use, unused: () => unused };
}

t.test("a responder's session seals once it is used, unless there is a newer one", async (t) => {
  const { sessions, seals, add, use } = make();
  const [first, second] = [add("responder"), add("responder")];
  t.strictSame(seals, [], "not before");
  t.ok(use(second));
  t.notOk(use(first), "the older one has come late");
  t.strictSame(seals, [second]);
  const third = add("responder");
  const fourth = add("initiator");
  t.strictSame(seals, [second, fourth], "an initiator's at once");
  t.notOk(use(third), "both sides had begun: each stays with its own");
  t.equal(sessions.current?.slot, fourth);
});

t.test("those go first that the peer is least likely to seal with", async (t) => {
  // The peer has used the current one: it does not go back to the one before.
  const one = make();
  const [previous, current, next] = [one.add("initiator"), one.add("initiator"), one.add("responder")];
  one.use(current);
  one.sessions.shrinkTo(2);
  t.strictSame(one.retired, [previous]);
  one.sessions.shrinkTo(1);
  t.strictSame(one.retired, [previous, next]);
  one.sessions.shrinkTo(0);
  t.equal(one.sessions.current?.slot, current, "never the one that seals");
  // It has not: it still seals with the one before, and has not used what we answered since.
  const two = make();
  const [old, , one1, two1] = [two.add("initiator"), two.add("initiator"), two.add("responder"), two.add("responder")];
  two.sessions.shrinkTo(3);
  t.strictSame(two.retired, [one1]);
  two.sessions.shrinkTo(2);
  t.strictSame(two.retired, [one1, two1]);
  two.sessions.shrinkTo(1);
  t.strictSame(two.retired, [one1, two1, old]);
  t.equal(two.unused(), 2);
});

t.test("age and removal wipe", async (t) => {
  const { sessions, slots, seals, retired, add } = make();
  const [old, young] = [add("initiator", 0), add("responder", 100)];
  const key = sessions.current?.send as Buffer;
  sessions.expire(179_999);
  t.strictSame(retired, []);
  sessions.expire(180_000);
  t.strictSame([retired, seals], [[old], [old, undefined]]);
  t.ok(key.every((octet) => octet === 0));
  t.strictSame(
    [slots.ownerOfSlot(young), slots.ownerOfIndex(1000 + young), slots.ownerOfSlot(old)],
    ["peer", "peer", undefined],
  );
  sessions.clear();
  t.strictSame([retired, slots.size, sessions.count], [[old, young], 0, 0]);
});
