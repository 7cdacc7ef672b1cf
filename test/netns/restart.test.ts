/** The daemon dies and comes back under traffic: containers keep their devices, addresses, routes and connections. */
import t from "tap";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { ownShare } from "../lab/own-time.js";
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
    const share = ownShare();
    await weft.again();
    const first = await until(
      "an answer after the start",
      () => ping.out.slice(answersBefore).find((line) => line.includes("bytes from")),
      10_000,
    );
    const afterSeconds = (Number(/^\[([\d.]+)\]/.exec(first)?.[1]) - startedAt) * share();
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
