/** What the bench says of encryption: ratios to those that do the same, the aim for CPU time, the command line. */
import t from "tap";
import { cipherSecondsPerGB, encryptionRemarks, encryptionTables, type Table } from "../../bench/encryption.js";
import { readOptions } from "../../bench/options.js";
import { encryptedReport } from "../../bench/report-markdown.js";
import { type Result, type Row, row } from "../../bench/result.js";
import { workOf } from "../../bench/samples.js";
import { spread } from "../../bench/stats.js";

const CLEAR = { "kernel-vxlan": [10, 5, 8], weft: [4, 2, 3.2] } as const;

function tcp(system: string, samples: readonly number[], cpu: readonly number[], facts: Partial<Row> = {}): Row {
  const more = { cpuSecondsPerGB: { ...spread(cpu), samples: cpu } };
  const usual = { layer: 2, cipher: "none", mtu: 1450, version: "1", ...facts } as const;
  return row({ suite: "e2e", name: "TCP a→b", unit: "Gbit/s", regime: "wire", system, more, ...usual }, samples);
}
const sealed = (system: string, layer: 2 | 3, samples: readonly number[], cpu: readonly number[]): Row =>
  tcp(system, samples, cpu, { layer, cipher: "ChaCha20-Poly1305", version: "0.0.20220316" });
const aead = (system: string, size: number, speed: number): Row =>
  row({ suite: "aead", name: "ChaCha20-Poly1305", unit: "GB/s", system, size }, [speed, speed, speed]);

const YARDSTICKS = [tcp("kernel-vxlan", CLEAR["kernel-vxlan"], [1, 2, 1]), tcp("weft", CLEAR.weft, [3, 4, 3])];
const OURS = [sealed("weft-wireguard", 2, [1, 0.5, 0.8], [6, 8, 6]), sealed("weft-layer3", 3, [2, 1, 1.6], [4, 5, 4])];
const OTHERS = [
  sealed("wireguard-vxlan", 2, [0.25, 0.125, 0.2], [24, 32, 24]),
  sealed("wireguard-go", 3, [1, 0.5, 0.8], [12, 15, 12]),
];
// 1/2 + 1/2 seconds a gigabyte.
const CIPHER = [aead("weft, seal a run", 1408, 2), aead("weft, open", 1408, 2), aead("weft, open", 64, 0.1)];
const ALL = [...CIPHER, ...YARDSTICKS, ...OURS, ...OTHERS];

const cell = (table: Table | undefined, line: number, title: string): string => {
  const [head = [], ...body] = table?.cells ?? [];
  t.ok(head.includes(title), `a column ${title}`);
  return body[line]?.[head.indexOf(title)] ?? "";
};

t.test("each of ours is compared with the wireguard-go that carries the same", async (t) => {
  const [reached] = encryptionTables(ALL);
  t.same(
    reached?.cells.slice(1).map(([name]) => name),
    ["weft-wireguard", "weft-layer3"],
  );
  t.equal(cell(reached, 0, "÷ kernel VXLAN, in clear"), "0.100 (0.100–0.100)", "round by round");
  t.equal(cell(reached, 0, "÷ weft, in clear"), "0.250 (0.250–0.250)");
  t.equal(cell(reached, 0, "÷ wireguard-go"), "4.00 (4.00–4.00)", "with kernel VXLAN inside");
  t.equal(cell(reached, 1, "÷ wireguard-go"), "2.00 (2.00–2.00)", "alone");
});

t.test("the aim is weft in clear and the cipher of this run, with an allowance", async (t) => {
  t.equal(cipherSecondsPerGB(ALL), 1);
  const [, took] = encryptionTables(ALL);
  t.equal(cell(took, 0, "aim"), "4.20", "3 + 1.2 × (1/2 + 1/2)");
  t.equal(cell(took, 0, "÷ aim"), "1.43 (1.43–1.48)");
  t.equal(cell(took, 0, "÷ wireguard-go"), "0.250 (0.250–0.250)");
  t.match(encryptionRemarks(ALL)[0], /1\.2 × 1\.00 s/);

  const without = ALL.filter((r) => r.suite !== "aead");
  t.equal(cell(encryptionTables(without)[1], 0, "aim"), "");
  t.match(encryptionRemarks(without)[0], /--only aead,e2e/, "and says what is missing");
});

t.test("earlier figures are quoted as ratios of their own run", async (t) => {
  const quoted = encryptionTables(ALL)[2];
  t.match(quoted?.title, /at another time/);
  t.equal(cell(quoted, 0, "÷ kernel VXLAN then"), "0.129–0.172", "1.15 / 8.9 to 1.15 / 6.7");
  t.equal(cell(quoted, 0, "÷ kernel VXLAN now"), "", "this run had no such regime");
  t.equal(cell(quoted, 1, "÷ kernel VXLAN now"), "0.200 (0.200–0.200)");
  t.equal(cell(quoted, 3, "here"), "weft-wireguard");
  t.match(encryptionRemarks(ALL)[1], /of 2022.*no GSO/);
  const newer = ALL.map((r) => (r.layer === 3 || r.cipher !== "none" ? { ...r, version: "0.0.20250522" } : r));
  t.equal(encryptionRemarks(newer).length, 1, "a newer wireguard-go needs no excuse");
});

t.test("a run without encryption says nothing of it", async (t) => {
  t.same(encryptionTables(YARDSTICKS), []);
  t.same(encryptionRemarks(YARDSTICKS), []);
});

t.test("README.md shows what encrypts beside kernel VXLAN and weft in clear", async (t) => {
  const machine = { kernel: "6.1.0", cpu: "a processor", cores: 2, memoryGiB: 4, virtual: false, governor: "none" };
  const result: Result = {
    ...{ schema: 1, date: "2026-01-01T00:00:00.000Z", command: "npm run bench -- --encrypted", rounds: 3, seconds: 1 },
    machine: { ...machine, mitigations: {}, node: "20", v8: "11", commit: "0", loadAverage: 0, busyBefore: 0 },
    rows: ALL,
    notes: ["a note", "drops in tinc, wire, TCP a→b: x", "drops in weft-layer3, wire, TCP a→b: y"],
  };
  const text = encryptedReport(result, "bench/results/encrypted.json", undefined);
  t.match(text, /\| wire \| kernel-vxlan \| 8\.00 \(6\.50–9\.00\) \| 1\.00 \|/);
  t.match(text, /\| wire \| weft-wireguard \| 0\.800 \(0\.650–0\.900\), \*\*0\.100×\*\* \| 6\.00 \|/);
  t.match(text, /\n- a note\n- drops in weft-layer3/, "what others dropped stands in the file");
  const clear = { ...result, rows: YARDSTICKS };
  t.throws(() => encryptedReport(clear, "x.json", undefined), /x\.json has no figures of weft-wireguard/);
});

t.test("--encrypted and --profile choose what they are about", async (t) => {
  const encrypted = readOptions(["--encrypted"]);
  t.same(encrypted.only, ["aead", "e2e"]);
  for (const name of ["kernel-vxlan", "weft", "weft-wireguard", "wireguard-vxlan", "weft-layer3", "wireguard-go"])
    t.ok(encrypted.systems.includes(name), name);
  t.notOk(encrypted.systems.includes("ovs"));
  t.same(readOptions(["--encrypted", "--systems", "weft-wireguard,weft"]).systems, ["weft", "weft-wireguard"]);
  for (const name of ["weft-wireguard", "weft-layer3"])
    t.ok(readOptions(["--once"]).systems.includes(name), `${name}, so that it does not rot`);
  t.throws(() => readOptions(["--encrypted", "--peers"]), /--encrypted with --peers: one or the other/);

  t.same(readOptions(["--profile"]).systems, ["weft"]);
  t.same(readOptions(["--profile", "--systems", "weft-wireguard"]).systems, ["weft-wireguard"]);
  t.throws(() => readOptions(["--profile", "--systems", "nebula"]), /choose from weft, weft-wireguard, weft-layer3/);
});

t.test("a profile says what was done, not only where", async (t) => {
  t.equal(workOf({ where: "WASM", symbol: "JS:assembly/crypto/chacha20/chunk-4-turbofan" }), "WASM: ChaCha20-Poly1305");
  t.equal(workOf({ where: "WASM", symbol: "JS:assembly/wire/checksum/sumLe-1-turbofan" }), "WASM: checksums");
  t.equal(workOf({ where: "WASM", symbol: "JS:assembly/path/egress/one-78-turbofan" }), "WASM: the rest");
  t.equal(workOf({ where: "kernel", symbol: "_copy_to_iter" }), "copies");
  t.equal(workOf({ where: "kernel", symbol: "csum_partial_copy_generic" }), "copies", "a copy that sums on its way");
  t.equal(workOf({ where: "kernel", symbol: "csum_partial" }), "kernel: checksums");
  t.equal(workOf({ where: "addon", symbol: "io_read_ports" }), "addon");
});
