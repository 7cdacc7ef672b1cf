/** The network's gateway: one MAC on every host, reached from local ports, never through a tunnel. */
import t from "tap";
import { BROADCAST, ethernet, mac, vxlan } from "../frames/build.js";
import { type Build, macKey, Rig, type Sent } from "../models/rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
const GATEWAY = mac(0x7766);
const FAR = mac(9);

class Host extends Rig {
  readonly net: number;
  readonly a: number;
  readonly b: number;
  readonly gateway: number | undefined;

  private constructor(build: Build, hasPort: boolean, flags: number) {
    super(build);
    this.net = this.network({ mtu: 1450, gateway: macKey(GATEWAY), flags });
    this.a = this.port(this.net, mac(1));
    this.b = this.port(this.net, mac(2));
    this.gateway = hasPort ? this.port(this.net, GATEWAY, { isGateway: true }) : undefined;
    this.vtep(this.net, "192.0.2.9");
  }
  static async open(build: Build, hasPort = true, flags = 4): Promise<Host> {
    const h = new Host(build, hasPort, flags);
    await h.commit();
    // A station behind the VTEP is known.
    h.receive(FAR, mac(1));
    return h;
  }
  send(port: number | undefined, src: number, dst: number): string[] {
    return places(this.egress([{ port: port as number, frame: ethernet({ src, dst }) }]));
  }
  receive(src: number, dst: number): string[] {
    return places(this.ingress([{ address: "192.0.2.9", payload: vxlan(42, ethernet({ src, dst })) }]));
  }
}
const places = (sent: readonly Sent[]): string[] =>
  sent.map((s) => (s.kind === "port" ? `port ${s.port}` : s.kind)).sort();

for (const build of BUILDS) {
  t.test(`${build}: local ports and the gateway reach each other`, async (t) => {
    const h = await Host.open(build);
    t.same(h.send(h.a, mac(1), GATEWAY), [`port ${h.gateway}`]);
    t.same(h.send(h.gateway, GATEWAY, mac(2)), [`port ${h.b}`]);
    t.same(h.send(h.a, mac(1), BROADCAST), [`port ${h.b}`, `port ${h.gateway}`, "vtep"], "a broadcast reaches it, too");
    t.same(h.send(h.a, mac(1), mac(99)), [`port ${h.b}`, `port ${h.gateway}`, "vtep"], "and what is for nobody known");
    t.same([h.drops(), h.missing("egress")], [{}, 0]);
  });

  t.test(`${build}: nothing of it passes a tunnel`, async (t) => {
    const h = await Host.open(build);
    t.same(h.send(h.gateway, GATEWAY, FAR), [], "from it to a station behind a VTEP");
    t.same(h.send(h.gateway, mac(1234), FAR), [], "in another name neither");
    t.same(h.receive(GATEWAY, mac(1)), [], "another host's gateway");
    t.same(h.receive(FAR, GATEWAY), [], "to it from a tunnel");
    t.same(h.receive(GATEWAY, BROADCAST), []);
    t.same(h.drops(), { "egress/gateway_leak": 2, "ingress/gateway_leak": 3 });
    t.same(h.send(h.gateway, GATEWAY, BROADCAST), [`port ${h.a}`, `port ${h.b}`], "its broadcasts stay on the host");
    t.same(h.send(h.gateway, GATEWAY, mac(99)), [`port ${h.a}`, `port ${h.b}`], "and so do those for nobody known");
    t.same(h.receive(FAR, BROADCAST), [`port ${h.a}`, `port ${h.b}`], "nor do a tunnel's broadcasts reach it");
    t.same(h.receive(FAR, mac(1234)), [], "nor frames for another MAC behind its port");
    t.same([h.missing("egress"), h.missing("ingress")], [0, 0]);
  });

  t.test(`${build}: nobody else speaks for it, with guards or without`, async (t) => {
    for (const flags of [4, 0]) {
      for (const hasPort of [true, false]) {
        const h = await Host.open(build, hasPort, flags);
        t.same(h.send(h.a, GATEWAY, mac(2)), []);
        t.same(h.drops(), { "egress/spoofed_mac": 1 });
      }
    }
  });

  t.test(`${build}: without its port here, frames for it are dropped, not flooded`, async (t) => {
    const h = await Host.open(build, false);
    t.same(h.send(h.a, mac(1), GATEWAY), []);
    t.same(h.drops(), { "egress/gateway_leak": 1 });
    t.same(h.send(h.a, mac(1), 0), [`port ${h.b}`, "vtep"], "another unknown destination is flooded");
  });

  t.test(`${build}: a network without a gateway knows no such rule`, async (t) => {
    const h = new Rig(build);
    const net = h.network();
    const a = h.port(net, mac(1));
    h.vtep(net, "192.0.2.9");
    await h.commit();
    t.same(places(h.egress([{ port: a, frame: ethernet({ src: mac(1), dst: 0 }) }])), ["vtep"]);
    t.same(h.drops(), {});
  });

  t.test(`${build}: the port goes, and another may come`, async (t) => {
    const h = await Host.open(build);
    h.tables.removePort(h.gateway as number);
    await h.commit();
    t.same(h.send(h.a, mac(1), GATEWAY), []);
    h.tables.releasePort(h.gateway as number);
    const again = h.port(h.net, GATEWAY, { isGateway: true });
    await h.commit();
    t.same(h.send(h.a, mac(1), GATEWAY), [`port ${again}`]);
  });
}
