/** What is taken back with a port, also while the disk is full. The router and the data plane are doubles: a list of ports. */
import t from "tap";
import { Attachments, type AttachmentsOptions } from "../../packages/control/src/fabric/attachments.js";
import { MeshStore } from "../../packages/control/src/fabric/state.js";
import { HostPorts } from "../../packages/control/src/gateway/publish.js";
import { Ipam } from "../../packages/control/src/ipam/ipam.js";
import { Networks } from "../../packages/control/src/overlay/networks.js";
import { GossipDouble } from "../models/gossip.js";

t.test("a full disk keeps neither the address nor the name of a port that is gone", async (t) => {
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
  const ports: { id: string; network: string; ip: readonly string[] }[] = [];
  const facts = { ifname: "eth0", mac: "02:00:00:00:00:01", role: "container", state: "up", netns: null, gateway: [] };
  const router = {
    parked: [],
    attach: async ({ id, network, ip }: (typeof ports)[number]) => {
      ports.push({ ...facts, id, network, ip });
      return ports.at(-1);
    },
    detach: async (id: string) => {
      const at = ports.findIndex((port) => port.id === id);
      return at >= 0 && ports.splice(at, 1).length === 1;
    },
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
