/** A real Prometheus scrapes a real daemon; promtool reads everything of ours that Prometheus will ever read. */

import { randomBytes } from "node:crypto";
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Counters } from "@weft/control";
import t from "tap";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import { datagrams } from "../lab/traffic.js";
import { type Status, Weft } from "../lab/weft.js";

const deploy = (name: string): string => fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url));

interface Sample {
  readonly metric: Record<string, string>;
  readonly value: readonly [number, string];
}

/** For promtool: of two members without a path only the one that is looked for is an alarm. */
const missedMember = {
  rule_files: ["alerts.yml"],
  evaluation_interval: "1m",
  tests: [
    {
      interval: "1m",
      input_series: [
        ...["idle", "sought"].map((peer) => [`weft_peer_path{instance="a",peer="${peer}",mode="none",via=""}`, "1x20"]),
        ['weft_wireguard_peer_session{instance="a",peer="idle",state="handshake"}', "0x20"],
        ['weft_wireguard_peer_session{instance="a",peer="sought",state="handshake"}', "1 0 0 1 0 0 1 0 0 1 0 0"],
        ['weft_mesh_control_links{instance="a"}', "3x20"],
      ].map(([series, values]) => ({ series, values })),
      alert_rule_test: [
        {
          eval_time: "10m",
          alertname: "WeftNoPath",
          exp_alerts: [
            {
              exp_labels: { severity: "warning", instance: "a", peer: "sought", mode: "none" },
              exp_annotations: {
                summary: "a has no path for data to the member with the key sought",
                description: "Let UDP 51820 through between the hosts, or between each of them and a third one.",
              },
            },
          ],
        },
      ],
    },
  ],
};

t.test("Prometheus has the numbers of `weft status --json`, and they are those of the traffic", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const weft = await Weft.up(lab, left, { vteps: [right.v4] });
  const c1 = await lab.container("c1");
  // The kernel's own IPv6 chatter would move the numbers under our eyes.
  await c1.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"]);
  await weft.attach(c1, { id: "c1", ip: ["10.8.0.1/24"] });
  const c2 = await kernelVxlan(lab, right, { peers: [left.v4], ip: ["10.8.0.2/24"] });
  await c2.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]);

  const config = lab.file("prometheus.yml");
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: "500ms", scrape_timeout: "400ms" },
      scrape_configs: [{ job_name: "weft", static_configs: [{ targets: ["127.0.0.1:6782"] }] }],
    }),
  );
  const listen = "--web.listen-address=127.0.0.1:9090";
  const prometheus = left.start([
    "prometheus",
    `--config.file=${config}`,
    `--storage.tsdb.path=${lab.file("tsdb")}`,
    listen,
  ]);
  const ask = async (query: string): Promise<Sample[]> => {
    const url = `http://127.0.0.1:9090/api/v1/query?query=${encodeURIComponent(query)}`;
    const script = "fetch(process.argv[1]).then(async (r) => process.stdout.write(await r.text()))";
    const answer = JSON.parse(await left.run([process.execPath, "-e", script, url])) as { data: { result: Sample[] } };
    return answer.data.result;
  };
  await until("Prometheus scrapes the daemon", async () => (await ask("up"))[0]?.value[1] === "1", 15_000);
  t.ok(prometheus.running);

  const before = (await weft.status()).counters;
  const run = await datagrams(c1, c2, "10.8.0.2", { count: 5000, rate: 10_000, size: 400 });
  t.equal(run.received, 5000, "5000 datagrams arrived");
  await c1.ping("10.8.0.2", { count: 10 });

  // Two looks at the daemon that agree, a scrape and a look into Prometheus between them: it must have the same.
  const compared = await until(
    "nothing moves for two seconds",
    async () => {
      const first = (await weft.status()).counters;
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const samples = await ask('{__name__=~"weft_(port|vtep|drops|kernel_drops|fdb|network)_.*|weft_drops_total"}');
      const status = JSON.parse(await weft.ok(["status", "--json"])) as Status;
      const still = (counters: Counters): string =>
        JSON.stringify([counters.ports, counters.vteps, counters.networks, counters.drops]);
      return still(first) === still(status.counters) && { samples, counters: status.counters };
    },
    30_000,
  );
  const { counters } = compared;
  const value = (name: string, labels: Record<string, string>): number | undefined => {
    const found = compared.samples.filter(
      ({ metric }) =>
        metric["__name__"] === name && Object.entries(labels).every(([key, text]) => metric[key] === text),
    );
    t.equal(found.length, 1, `${name}${JSON.stringify(labels)} is one series`);
    return Number(found[0]?.value[1]);
  };
  const port = counters.ports.find((p) => p.id === "c1");
  for (const direction of ["receive", "transmit"] as const) {
    for (const unit of ["packets", "bytes"] as const) {
      const ours = value(`weft_port_${direction}_${unit}_total`, { port: "c1", network: "vni-42" });
      t.equal(ours, port?.[direction][unit], `port, ${direction} ${unit}`);
      const vtep = value(`weft_vtep_${direction}_${unit}_total`, { vtep: right.v4, network: "vni-42" });
      t.equal(vtep, counters.vteps[0]?.[direction][unit], `VTEP, ${direction} ${unit}`);
    }
  }
  for (const { plane, reason, count } of counters.drops) {
    const theirs = value("weft_drops_total", { plane, reason });
    t.equal(theirs, count, `drops, ${plane} ${reason}`);
  }
  for (const [where, count] of Object.entries(counters.kernelDrops)) {
    t.equal(value("weft_kernel_drops_total", { where }), count, `kernel drops, ${where}`);
  }
  const fdb = counters.networks[0]?.fdb;
  t.equal(value("weft_fdb_entries", { kind: "vtep", network: "vni-42" }), fdb?.vtep, "MACs behind VTEPs");

  const [build] = await ask("weft_build_info");
  t.match(build?.metric, { version: /./, abi: /./, node: /^v\d+/, kernel: /./ }, "weft_build_info");

  const old = before.ports.find((p) => p.id === "c1");
  const packets = (port?.receive.packets ?? 0) - (old?.receive.packets ?? 0);
  t.ok(packets >= 5010 && packets < 5040, `5000 datagrams, 10 pings and a few ARP and ND frames: ${packets}`);
  const bytes = (port?.receive.bytes ?? 0) - (old?.receive.bytes ?? 0);
  const expected = 5000 * (400 + 8 + 20 + 14) + 10 * 98;
  t.ok(bytes >= expected && bytes < expected + 30 * 100, `and their octets with headers: ${bytes} of ${expected}`);
});

t.test("promtool is content with metrics, configuration and alerts", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host, { vteps: ["192.0.2.9", "2001:db8::9"], underlay: [host.v4, host.v6] });
  const [c1, c2] = [await lab.container("c1"), await lab.container("c2")];
  await weft.attach(c1, { ip: ["10.8.0.1/24"] });
  await weft.attach(c2, { ip: ["10.8.0.2/24"] });
  await c1.ping("10.8.0.2");
  const file = lab.file("metrics.txt");
  const text = await weft.metricsText();
  writeFileSync(file, `${text.trimEnd()}\n`);
  const metrics = await host.attempt(["sh", "-c", `promtool check metrics < ${file}`]);
  t.match(metrics, { code: 0, stdout: "", stderr: "" }, "promtool check metrics is silent");
  const macs = text.split("\n").filter((line) => /([0-9a-f]{2}:){5}[0-9a-f]{2}/i.test(line));
  t.equal(macs.length, 2, "ports have their MAC in weft_port_info");
  t.ok(
    macs.every((line) => line.startsWith("weft_port_info{")),
    "and nowhere else is a MAC a label",
  );
  const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1] ?? "");
  for (const name of [
    "weft_build_info",
    "weft_port_info",
    "weft_feature",
    "weft_underlay_up",
    "weft_fdb_limit",
    "weft_port_receive_packets_total",
    "weft_vtep_transmit_bytes_total",
    "weft_drops_total",
    "weft_kernel_drops_total",
    "weft_fdb_entries",
    "weft_fdb_moves_total",
    "weft_fdb_evictions_total",
    "weft_batch_frames",
    "weft_loop_seconds",
    "weft_syscalls_total",
    "process_cpu_seconds_total",
  ]) {
    t.ok(families.includes(name), name);
  }
  for (const path of ["/healthz", "/readyz"]) t.ok((await weft.metricsText(path)).length > 0, `${path} answers`);

  // The alert file is named relative to the configuration.
  for (const name of ["prometheus.yml", "alerts.yml"]) copyFileSync(deploy(name), lab.file(name));
  const config = await host.attempt(["promtool", "check", "config", lab.file("prometheus.yml")]);
  t.equal(config.code, 0, `promtool check config: ${config.stdout} ${config.stderr}`);
  const rules = await host.attempt(["promtool", "check", "rules", lab.file("alerts.yml")]);
  t.equal(rules.code, 0, `promtool check rules: ${rules.stdout} ${rules.stderr}`);
  writeFileSync(lab.file("rules.json"), JSON.stringify(missedMember));
  const alarms = await host.attempt(["promtool", "test", "rules", lab.file("rules.json")]);
  t.equal(alarms.code, 0, `promtool test rules: ${alarms.stdout} ${alarms.stderr}`);
  const used = [...readFileSync(deploy("alerts.yml"), "utf8").matchAll(/\b(weft_[a-z_]+)/g)].map(
    (match) => match[1] ?? "",
  );
  t.ok(used.length > 0);
  const known = (name: string): boolean =>
    families.includes(name.replace(/_(bucket|sum|count)$/, "")) || families.includes(name);
  t.same(
    [...new Set(used)].filter((name) => !known(name)),
    [],
    "every metric in the alerts exists",
  );
});

t.test("WireGuard: series from the start, and no key in anything that is told", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const secrets = [randomBytes(32), randomBytes(32)];
  const peer = publicKeyText(randomBytes(32));
  for (const [i, name] of ["wg.key", "psk"].entries())
    writeFileSync(lab.file(name), `${secrets[i]?.toString("base64")}\n`, { mode: 0o600 });
  const wireguard = {
    privateKeyFile: "wg.key",
    address: ["10.7.0.1"],
    peers: [{ publicKey: peer, allowedIps: ["10.7.0.2/32"], presharedKeyFile: "psk", endpoint: "192.0.2.9:51820" }],
  };
  const config = { underlay: [host.v4], wireguard, networks: [{ name: "blue", vni: 42, vteps: ["10.7.0.2"] }] };
  const keylog = lab.file("keys.log");
  const weft = await Weft.up(lab, host, { config, underlay: [], label: "wg", more: ["--wireguard-keylog", keylog] });
  const text = await weft.metricsText();
  const file = lab.file("wireguard.txt");
  writeFileSync(file, `${text.trimEnd()}\n`);
  const check = await host.attempt(["sh", "-c", `promtool check metrics < ${file}`]);
  t.match(check, { code: 0, stdout: "", stderr: "" }, "promtool check metrics is silent");
  const series = [...(await weft.metrics()).keys()].filter((name) => name.startsWith("weft_wireguard_"));
  t.equal(series.filter((name) => name.startsWith("weft_wireguard_handshakes_total{")).length, 6);
  t.equal(
    series.filter((name) => name.includes(`peer="${peer}"`)).length,
    8,
    "four of traffic, one of time, three states",
  );

  const [status, peers] = [await weft.ok(["status"]), await weft.ok(["status", "peers"])];
  t.match(status, /^wireguard +UDP 51820, 10\.7\.0\.1, MTU 1440, 1 peer, 0 with a session$/m);
  t.match(status, /^WARNING +THE PRIVATE KEY AND THE KEYS OF ALL/m);
  t.match(peers, `peer: ${peer}\n  preshared key: (hidden)\n  endpoint: 192.0.2.9:51820\n  allowed ips: 10.7.0.2/32\n`);
  t.match(weft.job.text, /THE PRIVATE KEY AND THE KEYS OF ALL WIREGUARD SESSIONS/, "loud in the log");
  t.equal(statSync(keylog).mode & 0o777, 0o600);
  const told = [text, status, peers, await weft.ok(["status", "--json"]), await weft.ok(["status", "peers", "--json"])];
  for (const secret of secrets)
    for (const form of ["base64", "hex"] as const)
      t.notOk(
        [...told, weft.job.text].some((part) => part.includes(secret.toString(form))),
        "no key is told",
      );

  writeFileSync(
    lab.file("wg.yaml"),
    JSON.stringify({ ...config, wireguard: { ...wireguard, peers: [] }, networks: [] }),
  );
  weft.job.child.kill("SIGHUP");
  await until("series of the removed peer are gone", async () => !(await weft.metricsText()).includes(peer), 20_000);
});
