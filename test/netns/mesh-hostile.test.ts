/**
 * Nodes that mean no good: with no token, with the token of another network, with a right token and records that are not theirs, with
 * messages that are too long or too many. Nothing is believed that is not signed, nothing grows without bound, and members stay connected.
 * Then members that have been away: removed meanwhile, or while tokens changed.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { formatToken, newToken, parseToken } from "../../packages/control/dist/mesh/token.js";
import { type Job, until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import { allReach, containers, meshOf, station } from "../lab/mesh.js";
import { type UpOptions, Weft } from "../lab/weft.js";

const STRANGER = fileURLToPath(new URL("../lab/stranger.mjs", import.meta.url));

interface Known {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly recordVersion: number;
  readonly records: number;
}
interface MeshRow {
  readonly self: string;
  readonly members: readonly Known[];
  readonly controlLinks: readonly { readonly name: string }[];
}
const mesh = async (weft: Weft): Promise<MeshRow> => (await weft.get("/v1/mesh")) as MeshRow;
const member = async (weft: Weft, name: string): Promise<Known | undefined> =>
  (await mesh(weft)).members.find((one) => one.name === name);

/** A daemon that does not come up: what it says, and its exit code. */
async function refused(lab: Lab, host: Host, options: UpOptions): Promise<{ code: number | null; text: string }> {
  const weft = Weft.start(lab, host, { mesh: true, keep: true, ...options });
  const { code } = await weft.job.endsWithin(20_000);
  return { code, text: weft.job.text };
}

/** Megabytes. */
function rss(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}
async function connections(host: Host): Promise<number> {
  return (await host.run(["ss", "-Htn", "state", "established", "( sport = :6783 )"])).split("\n").filter(Boolean)
    .length;
}

/** Tells the stranger what to do. */
function ask(stranger: Job): (what: string) => Promise<Record<string, unknown>> {
  return async (what) => {
    const had = stranger.out.length;
    stranger.child.stdin?.write(`${what}\n`);
    const done = (): string | undefined => {
      if (!stranger.running) throw new Error(stranger.text);
      return stranger.out[had];
    };
    const line = await until(`the stranger has done: ${what}`, done, 45_000);
    return JSON.parse(line) as Record<string, unknown>;
  };
}

t.test("hostile peers", { timeout: 360_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, h2, h3, h4, h5, evil] = await lab.hosts("h1", "h2", "h3", "h4", "h5", "evil");
  const log = lab.file("nft.log");
  const bin = lab.file("bin");
  mkdirSync(bin);
  const nft = execFileSync("sh", ["-c", "command -v nft"], { encoding: "utf8" }).trim();
  writeFileSync(join(bin, "nft"), `#!/bin/sh\necho run >> ${log}\nexec ${nft} "$@"\n`, { mode: 0o755 });
  const nftRuns = (): number => readFileSync(log, "utf8").split("\n").length - 1;
  const options = { mesh: true, keep: true, through: ["env", `PATH=${bin}:${process.env.PATH}`] };
  const other = Weft.up(lab, h4, { ...options, label: "other-network" });
  const [w1, w2, w3] = (await meshOf(lab, [h1, h2, h3], options)) as [Weft, Weft, Weft];
  const all = [w1, w2, w3];
  const stations = [await station(lab, w1, "c1"), await station(lab, w2, "c2"), await station(lab, w3, "c3")] as const;
  await allReach(stations, 30_000);
  const [c1, c2, c3] = stations;
  const ping = c1.container.start(`ping -n -i 0.1 -W 2 ${c2.v4}`);
  const token = (await w1.ok(["token", "--quiet"])).trim();
  const otherToken = (await (await other).ok(["token", "--quiet"])).trim();

  await t.test("tokens that are not ours", async (t) => {
    const right = parseToken(token);
    const tokens = {
      "a secret that is wrong": [
        evil,
        formatToken(Object.assign(newToken(right.networkId, right.founder), { id: right.id })),
      ],
      "of another network": [h5, otherToken],
    } as const;
    await Promise.all(
      Object.entries(tokens).map(async ([which, [host, text]]) => {
        const { code, text: said } = await refused(lab, host, { join: [h1.v4], token: text, label: `evil ${which}` });
        t.equal(code, 1, which);
        t.match(said, /token refused: unknown or wrong: run `weft token` on a member/, which);
        t.notMatch(said, text.slice(6), "the token is not repeated");
      }),
    );
  });

  const before = {
    rss: all.map((weft) => rss(weft.job.child.pid as number)),
    versions: await Promise.all(all.map(async (weft) => (await member(weft, "h1"))?.recordVersion)),
    containers: await containers(w2),
  };
  const stranger = evil.start([process.execPath, STRANGER, token, h1.v4]);
  const does = ask(stranger);
  const rejected = async (reason: string): Promise<number> => {
    const { mesh } = (await w1.get("/v1/report")) as { mesh: { counters: { rejected: Record<string, number> } } };
    return mesh.counters.rejected[reason] ?? Number.NaN;
  };

  await t.test("a right token, and what is not its own", async (t) => {
    const joined = await does("join");
    t.match(joined, { did: "join", closed: null }, "it is a member like any other");
    await w1.ok(["dns", "add", "later", "10.32.0.99"]);
    for (const [what, reason, ends] of [
      ["forged own", "forged", true],
      ["forged other", "forged", true],
      ["forged tombstone", "forged", true],
      ["unknown", "stranger", false],
      ["replay", "old", false],
      ["wrong schema", "schema", false],
      ["heap", "room", false],
      ["flood", undefined, true],
      ["garbage", undefined, true],
      ["oversize", "oversize", true],
      ["out of place", "malformed", true],
    ] as const) {
      const had = reason === undefined ? 0 : await rejected(reason);
      const answer = await does(what);
      t.notOk(answer.error, `${what}: ${JSON.stringify(answer)}`);
      if (ends) t.ok(answer.closed, `${what}: its link is ended: ${String(answer.closed)}`);
      if (reason !== undefined) t.ok((await rejected(reason)) > had, `${what}: counted as ${reason}`);
    }
    const names = JSON.stringify(await w1.get("/v1/dns"));
    t.notMatch(names, /forged-|unknown|wrong-schema/, "no such name is answered");
    t.match(names, /later/, "what was said after the replayed records holds");
    for (const weft of all) {
      t.equal((await mesh(weft)).members.filter(({ name }) => /^h[123]$/.test(name)).length, 3, "nobody is removed");
      const known = await member(weft, "stranger");
      t.ok((known?.records ?? 0) < 250, `its records are bounded: ${known?.records}`);
    }
    t.equal(await containers(w2), before.containers, "no container is there that is not");
  });

  await t.test("a member that says the same network over and over", async (t) => {
    await w1.ok(["expose"]);
    const had = nftRuns();
    const stream = does("networks, networks");
    await until("h1 hears it", async () => JSON.stringify(await w1.get("/v1/networks")).includes('"x"'), 10_000);
    const d1 = await station(lab, w1, "d1");
    const { closed, sent, tookMs } = (await stream) as { closed: string | null; sent: number; tookMs: number };
    t.equal(closed, null, "it may: it signs what it says");
    t.ok(sent >= 500, `${sent} times`);
    await w1.ok(["hide"]);
    // Each look at nftables is one or two of them, and so is each change that an operator has asked for.
    const most = 20 + 3 * Math.ceil(tookMs / 1000);
    t.ok(nftRuns() - had <= most, `${nftRuns() - had} times nft was run, at most ${most}`);
    await w1.detach(d1.id);
  });

  await t.test("connections that say nothing", async (t) => {
    const loris = does("loris");
    // Eight of one address, and our own; the kernel has taken on more of them until weft has looked at each.
    const few = async (): Promise<boolean> => {
      const now = await connections(h1);
      return now > 4 && now <= 16;
    };
    await until("few of them are let in", few, 4000);
    const late = await Weft.up(lab, h5, { ...options, join: [h1.v4], token, more: ["--name", "late"] });
    t.match(await member(w1, "late"), { name: "late" }, "somebody else joins meanwhile");
    await late.ok(["leave"]);
    t.match(await loris, { left: 0 }, "and all of them are thrown out in the end");
  });

  await t.test("what it was like for the others", async (t) => {
    ping.child.kill("SIGINT");
    await ping.ended;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(ping.text) ?? [];
    t.ok(Number(sent) > 50 && Number(sent) - Number(received) <= 1, `${received} of ${sent} pings were answered`);
    const after = all.map((weft) => rss(weft.job.child.pid as number));
    const grown = after.map((now, i) => Math.round(now - (before.rss[i] ?? 0)));
    t.ok(Math.max(...grown) < 96, `megabytes more: ${grown.join(", ")}`);
    for (const host of [h1, h2, h3]) t.ok((await connections(host)) <= 8, "no connection is left over");
    const { id } = (await member(w1, "stranger")) as Known;
    await w1.ok(["rmpeer", id, "--force"]);
    t.match(await does("join"), { error: /token refused/ }, "removed, and with it the token that it knew");
    stranger.finish();
  });

  await t.test("a member that is removed while it is away", async (t) => {
    const old = (await w1.ok(["token", "--quiet"])).trim();
    await w3.kill("SIGKILL");
    await until("it is missed", async () => (await member(w1, "h3"))?.state === "unreachable", 15_000);
    const careful = await w1.weft(["rmpeer", "h3"]);
    t.equal(careful.code, 1);
    t.match(careful.stderr, /--force/, "nobody knows whether it still runs: the operator has to say so");
    t.ok((await c3.container.devices()).length > 0, "its container has its device");
    await w1.ok(["rmpeer", "h3", "--force"]);
    const back = Weft.start(lab, h3, { ...options, label: h3.name });
    const { code } = await back.job.endsWithin(20_000);
    t.equal(code, 1, "it comes back, hears of it, and ends");
    t.match(back.job.text, /removed from its network by h1/);
    t.same(await c3.container.devices(), [], "and has detached its containers");
    const again = await refused(lab, h3, { label: h3.name, join: [h1.v4], token: old });
    t.match(again.text, /was removed from its network, for ever/, "it stays out, with its old identity");
    const anew = await refused(lab, h3, { label: "h3 anew", join: [h1.v4], token: old });
    t.match(
      anew.text,
      /token refused: unknown or wrong: run `weft token` on a member/,
      "and with a new one and the token that it had",
    );
    t.notOk(await member(w2, "h3"), "the others know it no more");
  });

  await t.test("a member that was away while tokens changed", async (t) => {
    await w2.kill("SIGKILL");
    const tokens = async () =>
      JSON.parse(await w1.ok(["token", "list", "--json"])) as { id: string; state: string; createdAt: number }[];
    const [first] = await tokens();
    await w1.ok(["token", "rotate"]);
    await w1.ok(["token", "retire", first?.id as string]);
    t.same(
      (await tokens()).find(({ id }) => id === first?.id),
      { ...first, state: "retired" },
      "when it was made is still known",
    );
    const merged = await refused(lab, h2, { label: h2.name, join: [h4.v4], token: otherToken });
    t.equal(merged.code, 1);
    t.match(merged.text, /networks never merge/, "with the token of another network it does not start");
    const back = Weft.start(lab, h2, { ...options, label: h2.name, more: ["--name", "h2"] });
    await back.ready(30_000);
    await until("it is there again, without a token", async () => (await member(w1, "h2"))?.state === "alive", 15_000);
    t.ok(await allReach([c1, c2], 5000), "and so is its container");
  });
});
