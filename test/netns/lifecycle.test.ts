/** Containers, devices and daemons that come, go and change their names while the other side does not look. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { Weft } from "../lab/weft.js";

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

t.test("a container that dies while no daemon runs, and a new one's namespace has its inode", async (t) => {
  const lab = await Lab.open(t);
  const [left] = await lab.hosts("left");
  const weft = await Weft.up(lab, left, { keep: true });
  const [c1, c2] = [await lab.container("c1"), await lab.container("c2")];
  await weft.attach(c1, { id: "port-1", ip: ["10.8.0.1/24"] });
  await weft.attach(c2, { id: "port-2", ip: ["10.8.0.2/24"] });
  await weft.kill("SIGKILL");
  await lab.remove(c2);
  // When the kernel hands a number out again is its own affair: here the file says that it has.
  const file = `${weft.stateDir}/state.json`;
  const state = JSON.parse(readFileSync(file, "utf8")) as { ports: { id: string; netnsId: string }[] };
  const [kept, dead] = ["port-1", "port-2"].map((id) => state.ports.find((port) => port.id === id));
  if (!kept || !dead) throw new Error("both are in the file");
  dead.netnsId = kept.netnsId;
  writeFileSync(file, JSON.stringify(state));
  await weft.again();
  const { ports, parked } = await weft.status();
  t.same([ports.map(({ id, state }) => `${id} ${state}`), parked], [["port-1 up"], []]);
  t.match(weft.job.text, /port-2.*forgotten/, "with a line");
});

t.test("a container that is made anew under its name has a port of its own, however soon", async (t) => {
  const lab = await Lab.open(t);
  const [left] = await lab.hosts("left");
  const weft = await Weft.up(lab, left);
  const c1 = await lab.container("c1");
  const wanted = { netns: c1.name, vni: 42, id: "c1", ip: ["10.8.0.1/24"] };
  await weft.post("/v1/ports", wanted);
  for (let i = 0; i < 10; i++) {
    // The kernel takes its time to end the old one, and its device with it.
    await lab.run(`ip netns del ${c1.name}`);
    await lab.run(`ip netns add ${c1.name}`);
    await weft.post("/v1/ports", wanted);
    t.ok(
      (await c1.devices()).some(({ name }) => name === "eth0"),
      "the port that is answered is in the container that there is",
    );
  }
  const old = c1.start(["sleep", "1000"]);
  await until("it runs in there", async () => (await lab.run(`ip netns pids ${c1.name}`)).trim() !== "");
  await lab.run(`ip netns del ${c1.name}`);
  await lab.run(`ip netns add ${c1.name}`);
  await t.rejects(
    weft.post("/v1/ports", wanted),
    /with another netns: detach it first/,
    "unless the old one still lives",
  );
  await old.kill("SIGKILL");
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
    const end = await weft.job.endsWithin(20_000);
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
