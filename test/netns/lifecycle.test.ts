/** The daemon dies and comes back under traffic: containers keep their devices, addresses, routes and connections. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { stream } from "../lab/traffic.js";
import { Weft } from "../lab/weft.js";

/** Everything of a container's network that must not change. */
async function facts(container: Namespace): Promise<object> {
  const [link] = await container.json<{ ifindex: number }[]>("ip -j link show dev eth0");
  return { ifindex: link?.ifindex, devices: await container.devices(), routes: await container.routes() };
}

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  t.test(`${signal} under a running ping and TCP stream: the next start goes on`, async (t) => {
    const lab = await Lab.open(t);
    const [left, right] = await lab.hosts("left", "right");
    const weft = await Weft.up(lab, left, { vteps: [right.v4], keep: true });
    const [c1, c3] = [await lab.container("c1"), await lab.container("c3")];
    await weft.attach(c1, {
      id: "c1",
      ip: ["10.8.0.1/24", "fd00::1/64"],
      more: ["--gateway", "10.8.0.254", "--route", "198.51.100.0/24"],
    });
    await weft.attach(c3, { id: "c3", ip: ["10.8.0.3/24"] });
    const c2 = await kernelVxlan(lab, right, { peers: [left.v4], ip: ["10.8.0.2/24"] });
    const before = await facts(c1);

    // -D: the time of each answer; -O would print lost ones. 20 pings a second until stopped.
    const ping = c1.start("ping -n -D -i 0.05 10.8.0.2");
    // Eight seconds at this rate: it is certainly running when the daemon dies and when the next one starts.
    const upload = await stream(c1, c2, "10.8.0.2", 32e6, 4e6);
    const download = await stream(c2, c1, "10.8.0.1", 32e6, 4e6);
    await ping.line(/icmp_seq=20 /);

    await weft.kill(signal);
    t.notOk(weft.job.running, "the daemon has ended");
    t.same(await facts(c1), before, "the container keeps device, MAC, addresses and routes without a daemon");
    await new Promise((resolve) => setTimeout(resolve, 500));

    const answersBefore = ping.out.length;
    const startedAt = Date.now() / 1000;
    await weft.again();
    const first = await until(
      "an answer after the start",
      () => ping.out.slice(answersBefore).find((line) => line.includes("bytes from")),
      10_000,
    );
    const afterSeconds = Number(/^\[([\d.]+)\]/.exec(first)?.[1]) - startedAt;
    t.ok(
      afterSeconds > 0 && afterSeconds < 3,
      `the first frame passes ${afterSeconds.toFixed(2)} s after the start of the process`,
    );
    t.same(await facts(c1), before, "the same device, MAC, addresses and routes");
    t.same(
      (await weft.status()).ports.map(({ id, state }) => `${id} ${state}`).sort(),
      ["c1 up", "c3 up"],
      "both ports were adopted, nobody attached them again",
    );
    t.ok(upload.sender.running && download.sender.running, "both streams still run");
    for (const [name, running] of Object.entries({ upload, download })) {
      const { sent, received } = await running.finish(40_000);
      t.equal(received.bytes, 32e6, `${name}: every octet`);
      t.equal(received.sha256, sent.sha256, `${name}: the right hash`);
    }
    const { drops } = (await weft.status()).counters;
    const early = drops.find((d) => d.reason === "port_inactive")?.count;
    t.equal(early, 0, "no frame was read from a container before the tables knew its port");
    t.equal((await c3.ping("10.8.0.1")).received, 3, "the other container talks as well");
    await ping.kill("SIGINT");
  });
}

t.test("a container that dies while no daemon runs is forgotten with one line", async (t) => {
  const lab = await Lab.open(t);
  const [left] = await lab.hosts("left");
  const weft = await Weft.up(lab, left, { keep: true });
  const [c1, c2, c3] = [await lab.container("c1"), await lab.container("c2"), await lab.container("c3")];
  for (const [i, container] of [c1, c2, c3].entries()) {
    await weft.attach(container, { id: `port-${i + 1}`, ip: [`10.8.0.${i + 1}/24`] });
  }
  await weft.kill("SIGKILL");
  await lab.remove(c2);
  await weft.again();
  const lines = weft.job.text.split("\n").filter((line) => line.includes("port-2"));
  t.equal(lines.length, 1, `one line: ${lines.join("\n")}`);
  t.same((await weft.status()).ports.map((port) => port.id).sort(), ["port-1", "port-3"], "the others are there");
  t.same((await weft.status()).parked, [], "nothing waits");
  t.equal((await c1.ping("10.8.0.3")).received, 3, "and talk");
  await weft.kill("SIGKILL");
  await weft.again();
  t.notMatch(weft.job.text, /port-2/, "the next start has forgotten it");
});

t.test("a device that its container renamed is found again; another one of its name is left alone", async (t) => {
  const lab = await Lab.open(t);
  const [left] = await lab.hosts("left");
  const weft = await Weft.up(lab, left, { keep: true });
  const [c1, c2] = [await lab.container("c1"), await lab.container("c2")];
  await weft.attach(c1, { id: "c1", ip: ["10.8.0.1/24"] });
  await weft.attach(c2, { id: "c2", ip: ["10.8.0.2/24"], vni: 43 });
  await c1.run("ip link set eth0 down");
  await c1.run("ip link set eth0 name inside");
  const told = async (): Promise<boolean> => (await weft.status()).ports.some((p) => p.ifname === "inside");
  await until("the new name is known", told);
  await weft.kill("SIGKILL");
  await c1.run("ip link set inside name later");
  await c1.run("ip link add inside type veth peer name other");
  await weft.again();
  const ports = (await weft.status()).ports.map(({ id, ifname }) => `${id} ${ifname}`).sort();
  t.same(ports, ["c1 later", "c2 eth0"], "found by its MAC, renamed while no daemon ran");

  // Parked: the network is gone from the state, and in place of the device stands another.
  await weft.kill("SIGKILL");
  const file = `${weft.stateDir}/state.json`;
  const state = JSON.parse(readFileSync(file, "utf8")) as { networks: { spec: { vni: number } }[] };
  state.networks = state.networks.filter(({ spec }) => spec.vni !== 43);
  writeFileSync(file, JSON.stringify(state));
  await c2.run("ip link del eth0");
  await c2.run("ip link add eth0 type veth peer name other");
  await weft.again();
  t.match((await weft.status()).parked, [{ id: "c2" }]);
  await weft.detach("c2");
  t.same((await c2.devices()).map((d) => d.name).sort(), ["eth0", "other"], "somebody else's device stays");
  t.match(weft.job.text, /left alone/, "and the log says so");
});

t.test("`weft down` leaves nothing, and so does the end of an ephemeral daemon", async (t) => {
  const lab = await Lab.open(t);
  const [left] = await lab.hosts("left");
  const hostBefore = { devices: await left.devices(), routes: await left.routes() };
  for (const how of ["down", "SIGTERM", "SIGINT"] as const) {
    const weft = await Weft.up(lab, left, { keep: how === "down", label: how });
    const c1 = await lab.container("c1");
    await weft.attach(c1, { ip: ["10.8.0.1/24"], more: ["--gateway", "10.8.0.254"] });
    if (how === "down") await weft.ok(["down"]);
    else weft.job.child.kill(how);
    const end = await weft.job.endsWithin(5000);
    t.equal(end.code, 0, `${how}: the daemon ends with 0`);
    t.same(await c1.devices(), [], `${how}: no device in the container`);
    t.same(await c1.routes(), [], `${how}: no route`);
    t.same({ devices: await left.devices(), routes: await left.routes() }, hostBefore, `${how}: the host is as before`);
    t.notOk(existsSync(weft.socket), `${how}: no socket`);
    const kept = readdirSync(weft.stateDir).filter((name) => name.endsWith(".json"));
    t.same(kept, [], `${how}: no state`);
    t.notMatch(await left.run("ss -Huln"), /:4789/, `${how}: the UDP port is free`);
    const status = await weft.weft(["status"]);
    t.equal(status.code, 1, `${how}: status says so`);
    t.match(status.stderr, /weft up/, `${how}: and what to do: ${status.stderr}`);
  }
});
