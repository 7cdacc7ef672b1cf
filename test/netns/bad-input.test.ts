/**
 * Everything a user or a machine can do wrong: one clear message that says what to do, the right exit code, nothing left
 * behind, and the traffic of others untouched.
 */
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import t, { type Test } from "tap";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { type Host, Lab } from "../lab/lab.js";
import type { Namespace, Outcome } from "../lab/namespace.js";
import { ownMs } from "../lab/own-time.js";
import { datagrams, kernelLosses } from "../lab/traffic.js";
import { difference, total, type UpOptions, Weft } from "../lab/weft.js";

/** The rules for every message: on standard error, short, no stack trace, and it matches. */
function said(t: Test, outcome: Outcome, code: number, ...patterns: RegExp[]): void {
  const text = outcome.stderr.trim();
  t.equal(outcome.code, code, `exit code ${code}: ${text}`);
  for (const pattern of patterns) t.match(text, pattern);
  t.notMatch(text, /\n\s+at |node:internal|\.js:\d+/, "no stack trace");
  t.ok(text.length > 0 && text.length < 1500, "a message, not a page");
}

/** A daemon that must refuse to start: message and exit code as `said`, and nothing left on the host. */
async function refuses(t: Test, lab: Lab, host: Host, options: UpOptions, ...patterns: RegExp[]): Promise<void> {
  const before = await host.devices();
  const weft = Weft.start(lab, host, options);
  const end = await weft.job.endsWithin(20_000);
  said(t, { code: end.code ?? 128, stdout: "", stderr: weft.job.err.join("\n") }, 1, ...patterns);
  t.same(await host.devices(), before, "no device is left");
  t.notMatch(await host.run("ss -Hxl"), new RegExp(weft.socket), "no control socket listens");
}

t.test("wrong command lines", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host);
  const cases: readonly (readonly [what: string, words: readonly string[], code: number, ...patterns: RegExp[]])[] = [
    ["unknown flag", ["up", "--undrelay", "192.0.2.1"], 2, /--undrelay/, /--underlay/],
    ["unknown command", ["atach"], 2, /atach/, /attach/],
    ["an underlay that is no address", ["up", "--underlay", "somewhere"], 2, /--underlay/, /somewhere/],
    ["a VNI out of range", ["attach", "x", "--ip", "10.8.0.1/24", "--vni", "16777216"], 2, /--vni/, /16777215/],
    ["VNI 0", ["attach", "x", "--ip", "10.8.0.1/24", "--vni", "0"], 2, /--vni/, /1/],
    ["an address without prefix length", ["attach", "x", "--ip", "10.8.0.1", "--vni", "42"], 2, /--ip/, /10\.8\.0\.1/],
    ["no address", ["attach", "x", "--vni", "42"], 1, /there is no mesh/, /--ip ADDR/],
    ["a wrong MAC", ["attach", "x", "--ip", "10.8.0.1/24", "--vni", "42", "--mac", "02:00"], 2, /--mac/],
    [
      "a device name that is too long",
      ["attach", "x", "--ip", "10.8.0.1/24", "--vni", "42", "--ifname", "sixteen-octets-x"],
      2,
      /--ifname/,
    ],
    ["a topic that does not exist", ["status", "weather"], 2, /weather/, /ports/],
  ];
  for (const [what, words, code, ...patterns] of cases) {
    await t.test(what, async (t) => {
      const outcome =
        words[0] === "atach" ? await weft.host.attempt([process.execPath, weftPath, ...words]) : await weft.weft(words);
      said(t, outcome, code, ...patterns);
    });
  }
  t.same((await weft.status()).ports, [], "no port came of any of them");
  t.same((await weft.status()).networks, [], "and no network");
});

const weftPath = new URL("../../packages/control/bin/weft.js", import.meta.url).pathname;

t.test("wrong configuration files", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const cases: readonly (readonly [what: string, yaml: string, ...patterns: RegExp[]])[] = [
    ["bad YAML", "networks: [\n  - name: blue\n  vni 42", /YAML|line \d/],
    [
      "several wrong keys at once",
      "undrelay: [192.0.2.1]\nworkers: many\nnetworks: [{name: Blue, vni: 0, mtu: 12}]",
      /undrelay/,
      /workers/,
      /name/,
      /vni/,
      /mtu/,
    ],
    ["a VNI out of range", "underlay: [192.0.2.1]\nnetworks: [{name: blue, vni: 16777216}]", /vni/, /16777215/],
    [
      "a VNI used twice",
      "underlay: [192.0.2.1]\nnetworks: [{name: blue, vni: 42}, {name: green, vni: 42}]",
      /networks\[1\]\.vni/,
      /42/,
      /networks\[0\]/,
    ],
    ["a name used twice", "underlay: [192.0.2.1]\nnetworks: [{name: blue, vni: 42}, {name: blue, vni: 43}]", /blue/],
    [
      "several faults that only belong together",
      "underlay: [192.0.2.1]\nnetworks: [{name: blue, vni: 42, vteps: ['fd00::2'], routes: [{prefix: 10.8.1.7/24, via: 192.0.2.7}]}]",
      /line 2: networks\[0\]\.vteps\[0\]: .*IPv6 underlay/,
      /routes\[0\]\.prefix: .*10\.8\.1\.0\/24/,
      /routes\[0\]\.via: .*192\.0\.2\.7/,
    ],
    [
      "a VTEP that is no address",
      "underlay: [192.0.2.1]\nnetworks: [{name: blue, vni: 42, vteps: [there]}]",
      /vteps/,
      /there/,
    ],
  ];
  const secret = randomBytes(32).toString("base64");
  for (const [name, mode] of [
    ["wg.key", 0o600],
    ["shared.key", 0o644],
  ] as const)
    writeFileSync(lab.file(name), `${secret}\n`, { mode });
  const wireguard = (key: string, peers = "[]"): string =>
    `underlay: [192.0.2.1]\nwireguard: {privateKeyFile: ${key}, address: [10.7.0.1], peers: ${peers}}\n`;
  const encrypted: typeof cases = [
    [
      "several faults of a wireguard section",
      `${wireguard("nowhere.key", "[{publicKey: x, endpoint: there, allowedIps: [10.7.0.2]}]")}vxlanPort: 51820`,
      /privateKeyFile: .*nowhere\.key cannot be read \(there is no such file/,
      /listenPort: found 51820/,
      /peers\[0\]\.publicKey: found 1 characters/,
      /peers\[0\]\.endpoint: found "there"/,
      /peers\[0\]\.allowedIps\[0\]: found "10\.7\.0\.2"/,
    ],
    ["a private key that others can read", wireguard("shared.key"), /shared\.key has mode 0644.*chmod 600/],
    [
      "this host's own key as a peer",
      wireguard("wg.key", `[{publicKey: ${publicKeyText(Buffer.from(secret, "base64"))}}]`),
      /own public key/,
    ],
    ["encryption without WireGuard", "networks: [{name: blue, vni: 42, encryption: required}]", /wireguard section/],
    [
      "a VTEP that no peer covers",
      `${wireguard("wg.key")}networks: [{name: blue, vni: 42, vteps: [192.0.2.2]}]`,
      /line 3: networks\[0\]\.vteps\[0\]: found "192\.0\.2\.2"; allowed: an address that the allowedIps of a peer cover/,
    ],
  ];
  for (const [what, yaml, ...patterns] of [...cases, ...encrypted]) {
    await t.test(what, async (t) => {
      const file = lab.file("wrong.yaml");
      writeFileSync(file, yaml);
      await refuses(
        t,
        lab,
        host,
        { config: {}, underlay: [], label: "wrong-config", more: ["--config", file] },
        ...patterns,
      );
    });
  }
  await t.test("a file for session keys that others can read", async (t) => {
    const keylog = lab.file("shared.log");
    writeFileSync(keylog, "", { mode: 0o644 });
    writeFileSync(lab.file("good.yaml"), wireguard("wg.key"));
    const more = ["--config", lab.file("good.yaml"), "--wireguard-keylog", keylog];
    await refuses(t, lab, host, { config: {}, underlay: [], label: "keylog", more }, /shared\.log has mode 0644/);
    await refuses(
      t,
      lab,
      host,
      { label: "no-wireguard", more: more.slice(2) },
      /--wireguard-keylog: there is no wireguard/,
    );
  });
  await t.test("a file that is not there", async (t) => {
    await refuses(t, lab, host, { more: ["--config", lab.file("nowhere.yaml")] }, /nowhere\.yaml/);
  });
});

t.test("what the daemon needs is taken or missing", async (t) => {
  const lab = await Lab.open(t);
  const [host, peer] = await lab.hosts("host", "peer");
  const first = await Weft.up(lab, host, { label: "first", keep: true });
  const c1 = await lab.container("c1");
  await first.attach(c1, { ip: ["10.8.0.1/24"] });

  await t.test("the port is taken by another weft", async (t) => {
    await refuses(t, lab, host, { label: "second", metrics: "127.0.0.1:7000" }, /4789/, /weft/i);
  });
  await t.test("the control socket is taken by another weft", async (t) => {
    await refuses(
      t,
      lab,
      host,
      { label: "first2", metrics: "127.0.0.1:7000", more: ["--socket", first.socket, "--vxlan-port", "4790"] },
      /socket/,
      /--socket|weft down/,
    );
  });
  await t.test("the state directory is taken by another weft", async (t) => {
    const more = ["--state-dir", first.stateDir, "--vxlan-port", "4790"];
    await refuses(t, lab, host, { label: "third", keep: true, metrics: "127.0.0.1:7000", more }, /state/i);
  });
  await t.test("the metrics address is taken", async (t) => {
    await refuses(t, lab, host, { label: "fourth", more: ["--vxlan-port", "4790"] }, /6782/, /--metrics/);
  });
  t.equal((await first.status()).state, "ready", "the first daemon does not care");
  t.equal((await host.json<unknown[]>("ip -j addr show dev under0")).length, 1);
  await t.test("the port is taken by a kernel vxlan device", async (t) => {
    const container = await kernelVxlan(lab, peer, { peers: [host.v4], ip: ["10.8.0.2/24"] });
    await refuses(t, lab, peer, {}, /4789/, /vxlan/i);
    t.equal((await container.devices()).length, 1, "the kernel's device is untouched");
  });
  await t.test("the underlay address is not on this machine", async (t) => {
    await refuses(t, lab, peer, { underlay: ["198.51.100.7"], label: "elsewhere" }, /198\.51\.100\.7/);
  });
  await t.test("no underlay and no default route", async (t) => {
    await refuses(t, lab, peer, { underlay: [], label: "lost" }, /--underlay/);
  });
  await t.test("no /dev/net/tun", async (t) => {
    const through = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net && exec "$@"', "sh"];
    await refuses(
      t,
      lab,
      peer,
      { through, label: "no-tun", more: ["--vxlan-port", "4790"] },
      /\/dev\/net\/tun/,
      /modprobe tun|--device|container/,
    );
  });
  await t.test("no privilege", async (t) => {
    const through = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    await refuses(t, lab, peer, { through, label: "no-caps", more: ["--vxlan-port", "4790"] }, /root|CAP_NET_ADMIN/);
  });
  await t.test("a state directory of another version", async (t) => {
    mkdirSync(lab.file("old.state"), { recursive: true });
    const text = JSON.stringify({ version: 999, networks: [], ports: [] });
    writeFileSync(lab.file("old.state/state.json"), text);
    await refuses(
      t,
      lab,
      peer,
      { keep: true, label: "old", more: ["--vxlan-port", "4790"] },
      /version/,
      /999/,
      /--state-dir/,
    );
  });
  await t.test("a control socket that nobody serves any more is taken over", async (t) => {
    const server = createServer();
    const path = lab.file("stale.sock");
    await new Promise<void>((resolve) => server.listen(path, resolve));
    // What a killed daemon leaves: the file without a listener. Unlinking is Node's own habit, so it is linked twice.
    linkSync(path, `${path}.kept`);
    await new Promise((resolve) => server.close(resolve));
    renameSync(`${path}.kept`, path);
    const client = await peer.attempt([process.execPath, weftPath, "status", "--socket", path]);
    said(t, client, 1, /stale\.sock/, /weft up/);
    const weft = await Weft.up(lab, peer, { label: "stale", more: ["--vxlan-port", "4790"] });
    t.equal((await weft.status()).state, "ready", "a new daemon takes its place");
    await weft.kill("SIGTERM");
  });
  await t.test("no daemon at all", async (t) => {
    said(
      t,
      await peer.attempt([process.execPath, weftPath, "status", "--socket", lab.file("none.sock")]),
      1,
      /none\.sock/,
      /weft up/,
    );
  });
});

/** Two containers that ping each other all the while. `check` says that not one ping was lost. */
async function bystanders(lab: Lab, weft: Weft): Promise<{ check: (t: Test) => Promise<void> }> {
  const [b1, b2] = [await lab.container("bystander1"), await lab.container("bystander2")];
  await weft.attach(b1, { id: "bystander1", ip: ["10.8.0.101/24"] });
  await weft.attach(b2, { id: "bystander2", ip: ["10.8.0.102/24"] });
  const ping = b1.start("ping -n -i 0.02 -W 1 10.8.0.102");
  await ping.line(/icmp_seq=3 /);
  return {
    check: async (t) => {
      await ping.line(/icmp_seq=10 /);
      ping.child.kill("SIGINT");
      await ping.ended;
      const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(ping.text) ?? [];
      // The one that is under way when ping is stopped.
      t.ok(Number(sent) - Number(received) <= 1 && Number(received) > 5, `bystanders: ${received} of ${sent} pings`);
    },
  };
}

t.test("SIGHUP reads the file again, and a stopped daemon is not waited for", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const network = (vni: number, name: string): object => ({ name, vni });
  const config = { underlay: [host.v4], networks: [network(42, "blue")] };
  const weft = await Weft.up(lab, host, { config, underlay: [], label: "hup" });
  const others = await bystanders(lab, weft);
  const names = async (): Promise<string> => (await weft.status()).networks.map((n) => n.name).join(" ");
  const file = lab.file("hup.yaml");

  writeFileSync(file, JSON.stringify({ ...config, networks: [network(42, "blue"), network(43, "green")] }));
  weft.job.child.kill("SIGHUP");
  await until("the second network is there", async () => (await names()) === "blue green", 20_000);

  writeFileSync(file, JSON.stringify({ ...config, networks: [network(0, "Blue")] }));
  weft.job.child.kill("SIGHUP");
  await until("the log says what is wrong", () => /not taken over.*/.test(weft.job.text), 20_000);
  t.match(weft.job.text, /networks\[0\]\.vni: found 0/);
  t.equal(await names(), "blue green", "and all is as before");
  await others.check(t);

  weft.job.child.kill("SIGSTOP");
  const started = ownMs();
  said(t, await weft.weft(["status"]), 1, /does not answer within 5 s/);
  const tookMs = Math.round(ownMs() - started);
  t.ok(tookMs < 9000, `said after ${tookMs} ms`);
  weft.job.child.kill("SIGCONT");
  t.match(await weft.ok(["down"]), /^detached 2 ports, stopped/);
});

t.test("attachments that cannot be", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host, { keep: true });
  const others = await bystanders(lab, weft);
  const c1 = await lab.container("c1");
  await weft.attach(c1, { id: "taken", ip: ["10.8.0.1/24"], mac: "02:00:00:00:00:01" });
  const c2 = await lab.container("c2");
  await c2.run("ip link add eth0 type veth peer name other");
  const before = { c1: await c1.devices(), c2: await c2.devices(), host: await host.devices() };
  const cases: readonly (readonly [what: string, words: readonly string[], ...patterns: RegExp[]])[] = [
    [
      "the namespace is missing",
      weft.attachWords("nosuchns", { ip: ["10.8.0.9/24"] }),
      /no network namespace nosuchns \(looked at \/run\/netns\/nosuchns/,
    ],
    ["the process is missing", weft.attachWords("4194303", { ip: ["10.8.0.9/24"] }), /no process 4194303/],
    ["the path is no namespace", weft.attachWords("/etc/hostname", { ip: ["10.8.0.9/24"] }), /\/etc\/hostname is no/],
    ["the device name is taken", weft.attachWords(c2, { ip: ["10.8.0.9/24"] }), /eth0/, /--ifname/],
    ["the id is taken", weft.attachWords(c2, { ip: ["10.8.0.9/24"], id: "taken", ifname: "eth7" }), /taken/],
    [
      "the MAC is taken",
      weft.attachWords(c2, { ip: ["10.8.0.9/24"], mac: "02:00:00:00:00:01", ifname: "eth7" }),
      /02:00:00:00:00:01/,
    ],
    [
      "the network is unknown",
      weft.attachWords(c2, { ip: ["10.8.0.9/24"], network: "purple", ifname: "eth7" }),
      /purple/,
      /vni-42/,
    ],
    [
      "network and VNI disagree",
      [...weft.attachWords(c2, { ip: ["10.8.0.9/24"], network: "vni-42", ifname: "eth7" }), "--vni", "43"],
      /vni-42/,
      /43/,
    ],
    [
      "the gateway is out of reach",
      [...weft.attachWords(c2, { ip: ["10.8.0.9/24"], ifname: "eth7" }), "--gateway", "172.31.0.1"],
      /172\.31\.0\.1/,
    ],
  ];
  for (const [what, words, ...patterns] of cases) {
    await t.test(what, async (t) => {
      said(t, await weft.weft(words), 1, ...patterns);
      t.same(
        { c1: await c1.devices(), c2: await c2.devices(), host: await host.devices() },
        before,
        "no device came or went",
      );
    });
  }
  await weft.attach(c1, { id: "taken", ip: ["10.8.0.1/24"], mac: "02:00:00:00:00:01" });
  t.same(await c1.devices(), before.c1, "the same wish once more answers the port that is there");
  t.same(
    (await weft.status()).ports.map((port) => port.id).sort(),
    ["bystander1", "bystander2", "taken"],
    "no port came of them",
  );
  await others.check(t);
});

t.test("a FIFO as namespace, and no descriptor left", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host, { keep: true });
  await lab.run(`mkfifo ${lab.file("fifo")}`);
  said(t, await weft.weft(weft.attachWords(lab.file("fifo"), { ip: ["10.8.0.9/24"] })), 1, /fifo.* network namespace/);
  t.equal((await weft.status()).state, "ready", "the daemon answers");
  // Only now: the start opens many modules at once.
  const { pid } = weft.job.child;
  const limit = readdirSync(`/proc/${pid}/fd`).length + 6;
  await lab.run(`prlimit --pid ${pid} --nofile=${limit}:${limit}`);
  const c1 = await lab.container("c1");
  let outcome: Outcome = { code: 0, stdout: "", stderr: "" };
  let count = 0;
  for (; outcome.code === 0 && count < 64; count++)
    outcome = await weft.weft(weft.attachWords(c1, { ip: [`10.8.0.${count + 1}/24`], ifname: `e${count}` }));
  said(t, outcome, 1, /LimitNOFILE|ulimit -n/);
  t.equal((await c1.devices()).length, count - 1, "what failed left no device");
});

t.test("devices and namespaces vanish while the daemon runs", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host, { keep: true });
  const others = await bystanders(lab, weft);
  const gone = async (t: Test, id: string): Promise<void> => {
    await until(`port ${id} is gone`, async () => !(await weft.status()).ports.some((port) => port.id === id), 20_000);
    const warnings = (): string[] =>
      weft.job.text.split("\n").filter((line) => line.includes(`"${id}"`) && line.includes('"level":"warn"'));
    await until("it is logged", () => warnings().length > 0, 20_000);
    const lines = warnings();
    t.equal(lines.length, 1, `one warning: ${lines.join(" ")}`);
  };
  await t.test("the device is deleted in the container", async (t) => {
    const c1: Namespace = await lab.container("c1");
    await weft.attach(c1, { id: "deleted", ip: ["10.8.0.1/24"] });
    await c1.run("ip link del eth0");
    await gone(t, "deleted");
    await weft.attach(c1, { id: "deleted", ip: ["10.8.0.1/24"] });
    t.equal((await c1.ping("10.8.0.102")).received, 3, "it can be attached again");
    await weft.detach("deleted");
  });
  await t.test("the namespace is destroyed", async (t) => {
    const c2 = await lab.container("c2");
    await weft.attach(c2, { id: "destroyed", ip: ["10.8.0.2/24"] });
    await lab.remove(c2);
    await gone(t, "destroyed");
  });
  await others.check(t);
  t.equal((await weft.status()).state, "ready");
});

t.test("the underlay goes down and up again", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const weft = await Weft.up(lab, left, { vteps: [right.v4] });
  const others = await bystanders(lab, weft);
  const c1 = await lab.container("c1");
  await weft.attach(c1, { ip: ["10.8.0.1/24"] });
  const c2 = await kernelVxlan(lab, right, { peers: [left.v4], ip: ["10.8.0.2/24"] });
  t.equal((await c1.ping("10.8.0.2")).received, 3);
  const before = await weft.losses();
  await left.run("ip link set under0 down");
  t.equal((await c1.ping("10.8.0.2", { count: 5 })).received, 0, "nothing passes while it is down");
  const lost = difference(before, await weft.losses());
  t.ok((lost["egress udp_unreachable"] ?? 0) >= 1, `the loss has a name: ${JSON.stringify(lost)}`);
  await left.run("ip link set under0 up");
  await until("pings pass again", async () => (await c1.ping("10.8.0.2", { count: 1 })).received === 1, 20_000);
  t.equal((await c2.ping("10.8.0.1")).received, 3, "in both directions");
  await others.check(t);
});

t.test("the underlay takes less than is sent (ENOBUFS)", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  // A queue that drops a send of many datagrams counts one: only without such sends can its count be compared.
  const weft = await Weft.up(lab, left, { vteps: [right.v4], env: { WEFT_DISABLE: "gso" } });
  const others = await bystanders(lab, weft);
  const c1 = await lab.container("c1");
  await weft.attach(c1, { ip: ["10.8.0.1/24"] });
  const c2 = await kernelVxlan(lab, right, { peers: [left.v4], ip: ["10.8.0.2/24"] });
  await c1.ping("10.8.0.2");
  // 20 Mb/s, and room for about 60 packets in the queue.
  await left.run("tc qdisc add dev under0 root tbf rate 20mbit burst 10kb limit 100kb");
  const look = async (): Promise<Record<string, number>> => ({
    ...(await weft.losses()),
    ...(await kernelLosses({ containers: [c1], hosts: [left], others: [c2, right] })),
  });
  const before = await look();
  const run = await datagrams(c1, c2, "10.8.0.2", { count: 8000, rate: 10_000, size: 1000 });
  const lost = difference(before, await look());
  t.ok(run.received < run.sent, `${run.received} of ${run.sent} arrived`);
  t.equal(run.sent - run.received, total(lost), `the rest is in counters: ${JSON.stringify(lost)}`);
  await left.run("tc qdisc del dev under0 root");
  t.equal((await c1.ping("10.8.0.2")).received, 3, "afterwards all is well");
  await others.check(t);
});
