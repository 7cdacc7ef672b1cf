/** The lab judged by the kernel alone: what later tests blame on weft is not the lab's fault. */
import t from "tap";
import { ethernet } from "../lab/frame.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import { datagrams, kernelLosses, transfer } from "../lab/traffic.js";
import { difference, total } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

for (const family of [4, 6] as const) {
  t.test(`two kernel vxlan devices talk through the lab over IPv${family}`, async (t) => {
    const lab = await Lab.open(t);
    const [left, right] = await lab.hosts("left", "right");
    const c1 = await kernelVxlan(lab, left, { peers: [right.address(family)], ip: ["10.8.0.1/24", "fd00::1/64"] });
    const c2 = await kernelVxlan(lab, right, { peers: [left.address(family)], ip: ["10.8.0.2/24", "fd00::2/64"] });
    const whole = family === 4 ? 1422 : 1402;
    t.equal((await c1.ping("10.8.0.2")).received, 3, "ping");
    t.equal((await c1.ping("10.8.0.2", { size: whole, whole: true })).received, 3, "the largest whole ping");
    t.equal((await c1.ping("10.8.0.2", { size: whole + 1, whole: true })).received, 0, "one octet more does not fit");
    t.equal((await c1.ping("fd00::2", { size: 8000 })).received, 3, "ping in fragments over IPv6");
    const { sent, received } = await transfer(c1, c2, "10.8.0.2", 50e6);
    t.equal(received.bytes, 50e6, "every octet arrives");
    t.equal(received.sha256, sent.sha256, "hashes are equal");
  });
}

t.test("numbered datagrams and raw frames are counted right", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const path = { containers: [], hosts: [], others: [left, right] };
  const before = await kernelLosses(path);
  const run = await datagrams(left, right, right.v4, { count: 20_000, rate: 20_000, flows: 4 });
  t.equal(run.sent, 20_000);
  const lost = difference(before, await kernelLosses(path));
  t.equal(run.sent - run.received, total(lost), "what is missing is what the kernel counted");
  const a = await Wire.open(lab, left, "under0");
  const b = await Wire.open(lab, right, "under0");
  const frame = ethernet({ dst: "ff:ff:ff:ff:ff:ff", src: "02:00:00:00:00:01", payload: Buffer.from("hello") });
  await a.send(frame, frame);
  await b.next("the frame", (got) => got.payload.subarray(0, 5).toString() === "hello");
  t.equal(a.own.length, 0, "the sender does not see its own frame");
  await a.close();
  await b.close();
});
