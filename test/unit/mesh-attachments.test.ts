/**
 * What is taken back with a port, also while the disk is full or its id is in use again. The router and the data plane are doubles: a
 * list of ports.
 */
import t, { type Test } from "tap";
import { Attachments, type AttachmentsOptions } from "../../packages/control/src/fabric/attachments.js";
import { MeshStore } from "../../packages/control/src/fabric/state.js";
import { HostPorts } from "../../packages/control/src/gateway/publish.js";
import { Ipam } from "../../packages/control/src/ipam/ipam.js";
import { Networks } from "../../packages/control/src/overlay/networks.js";
import { GossipDouble } from "../models/gossip.js";

interface Port {
  readonly id: string;
  readonly network: string;
  readonly ip: readonly string[];
}

function open(t: Test) {
  const world = new GossipDouble(1);
  const records = world.get(0);
  const store = new MeshStore(undefined);
  const none = { prefixes: [], names: new Set<string>(), vnis: new Set<number>() };
  const networks = new Networks(
    records,
    () => none,
    () => world.now,
  );
  networks.create("default", { cidr4: "10.9.0.0/24", cidr6: null });
  const ipam = new Ipam({
    records,
    networks: { get: (name) => networks.get(name)?.value, names: () => ["default"] },
    store: { load: () => store.state.allocations, save: (allocations) => store.change({ allocations }) },
    now: () => world.now,
    nowMs: () => world.now,
    after: (ms, run) => world.after(ms, run),
    random: () => 0.5,
  });
  const ports: Port[] = [];
  const facts = { ifname: "eth0", mac: "02:00:00:00:00:01", role: "container", state: "up", netns: null, gateway: [] };
  const router = {
    parked: [],
    isOrphaned: () => false,
    attach: async ({ id, network, ip }: Port) => {
      ports.push({ ...facts, id, network, ip });
      return ports.at(-1);
    },
    detach: async (id: string) => {
      const at = ports.findIndex((port) => port.id === id);
      return at >= 0 && ports.splice(at, 1).length === 1;
    },
    detachNamespace: async () => ports.splice(0).map(({ id }) => id),
  };
  const changed: number[] = [];
  const remembered = { get: () => undefined, set: () => undefined, entries: () => [] };
  const doubles = { router, dataplane: { ports: () => ports, networks: () => [] } } as unknown as Pick<
    AttachmentsOptions,
    "router" | "dataplane"
  >;
  const attachments = new Attachments({
    ...{ ...doubles, records, networks, ipam, store },
    hostPorts: new HostPorts({ taken: () => [], remembered }),
    settled: async () => undefined,
    changed: async () => void changed.push(ports.length),
    fullNames: (names) => [...names],
  });
  t.teardown(() => attachments.close());
  return { attachments, records, store, ipam, router, ports, changed };
}

/** A promise, and what makes it hold. */
function held(): { readonly until: Promise<void>; readonly release: () => void } {
  let release: () => void = () => undefined;
  const until = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { until, release };
}

t.test("a full disk keeps neither the address nor the name of a port that is gone", async (t) => {
  const { attachments, records, store, ipam, changed } = open(t);
  await attachments.attach({ id: "a", name: "web" });
  t.equal([...records.list("container")].length, 1);

  const later: (() => void)[] = [];
  t.intercept(globalThis, "setTimeout", {
    value: (run: () => void) => {
      later.push(run);
      return { unref: () => ({}) };
    },
  });
  const full = t.intercept(records, "putAll", {
    value: () => {
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    },
    configurable: true,
  });
  await t.rejects(attachments.detach("a"), { code: "ENOSPC" });
  t.match(ipam.info(), [{ used: 0 }], "its address is free");
  t.same(changed, [1, 0], "and what stands for it outside goes");
  await t.rejects(attachments.detach("a"), { code: "ENOSPC" }, "once more: it is still on record");
  later.shift()?.();
  t.equal(later.length, 1, "and tried again");
  full.restore();
  later.shift()?.();
  t.same([...records.list("container")], []);
  t.same(store.state.containers, {});
  t.equal(await attachments.detach("a"), false);
});

t.test("a port that is gone takes nothing from the next one of its id", async (t) => {
  const { attachments, records, store, ipam, router, ports, changed } = open(t);
  const names = (): string[] => [...records.list("container")].map(({ value }) => value.name ?? "");
  await attachments.attach({ id: "a", name: "web" });
  const [address] = ports.map(({ ip }) => ip);
  const { attach } = router;

  // Its container was started again: the data plane tells of the old port while the new one is being made.
  ports.splice(0);
  const made = held();
  router.attach = async (port) => made.until.then(() => attach(port));
  const again = attachments.attach({ id: "a", name: "web" });
  const gone = attachments.gone("a");
  made.release();
  t.match(await again, { id: "a", ip: address, name: "web" });
  await gone;
  t.match(ipam.info(), [{ used: 1 }], "it has its address");
  t.same([names(), Object.keys(store.state.containers)], [["web"], ["a"]], "and its name");
  const runs = changed.length;
  await attachments.gone("a");
  t.equal(changed.length, runs + 1, "what stands outside is looked at all the same");

  // The same with a namespace that is detached.
  router.attach = attach;
  const taken = held();
  const { detachNamespace } = router;
  router.detachNamespace = async () => {
    const ids = await detachNamespace();
    await taken.until;
    return ids;
  };
  const detached = attachments.detachNamespace("one");
  await new Promise(setImmediate);
  await attachments.attach({ id: "a", name: "web" });
  taken.release();
  t.same(await detached, ["a"]);
  t.match(ipam.info(), [{ used: 1 }]);
  t.same(names(), ["web"]);

  ports.splice(0);
  await attachments.gone("a");
  t.match(ipam.info(), [{ used: 0 }], "one that nobody follows leaves nothing");
  t.same([names(), Object.keys(store.state.containers)], [[], []]);
});

t.test("an attachment that is repeated as its port goes is made again as it was", async (t) => {
  const { attachments, ipam, router, ports } = open(t);
  const first = await attachments.attach({ id: "a", name: "web" });
  const asked: unknown[] = [];
  const { attach } = router;
  router.attach = async (port) => {
    asked.push(port);
    ports.splice(0);
    void attachments.gone("a");
    return attach(port);
  };
  await attachments.attach({ id: "a", name: "web" });
  t.match(asked, [{ id: "a", ip: first.ip, mac: first.mac }], "with its address, and the MAC that belongs to it");
  await attachments.gone("a");
  t.match(ipam.info(), [{ used: 1 }]);
});
