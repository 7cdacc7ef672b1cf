/** `npm run bench -- --profile`: where the time goes while weft carries traffic. */
import { runInside } from "./inside.js";
import type { CaseProfile, ProfileAsk } from "./profile-inside.js";
import { type Sample, workOf } from "./samples.js";
import { type Cells, figure, plainTable } from "./table.js";

const TOP = 15;

/** Sums of samples by a key, largest first. */
function group(samples: readonly Sample[], key: (s: Sample) => string): [string, number][] {
  const sums = new Map<string, number>();
  for (const s of samples) sums.set(key(s), (sums.get(key(s)) ?? 0) + s.count);
  return [...sums].sort((a, b) => b[1] - a[1]);
}

function describe(profile: CaseProfile): string {
  const { samples } = profile;
  const all = samples.reduce((sum, s) => sum + s.count, 0);
  const weft = samples.filter((s) => s.who === "weft");
  const ofWeft = weft.reduce((sum, s) => sum + s.count, 0);
  const share = (n: number, of: number): string => (of === 0 ? "–" : `${figure((n / of) * 100)} %`);
  const who = {
    weft: "weft daemons",
    traffic: "traffic programs",
    kernel: "kernel threads, interrupts",
    other: "other programs",
    idle: "idle",
  };
  const shares: Cells = [
    ["who", "where", "of the box", "of weft"],
    ...group(samples, (s) => `${s.who}\n${s.where}`).map(([key, n]) => {
      const [name, where] = key.split("\n") as [keyof typeof who, string];
      return [who[name], where, share(n, all), name === "weft" ? share(n, ofWeft) : ""];
    }),
  ];
  const works: Cells = [
    ["weft's time by what was done", "of weft"],
    ...group(weft, workOf).map(([work, n]) => [work, share(n, ofWeft)]),
  ];
  const calls: Cells = [
    ["weft's time in the kernel, by system call", "of weft"],
    ...group(
      weft.filter((s) => s.where === "kernel"),
      (s) => s.call || "outside one (interrupts, page faults)",
    ).map(([call, n]) => [call, share(n, ofWeft)]),
  ];
  const functions: Cells = [
    ["weft's functions", "where", "of weft"],
    ...group(weft, (s) => `${s.symbol}\n${s.where}`)
      .slice(0, TOP)
      .map(([key, n]) => [...key.replace(/^JS:/, "").split("\n"), share(n, ofWeft)]),
  ];
  const ours = weft.filter((s) => s.where === "WASM" || s.where === "JavaScript").reduce((sum, s) => sum + s.count, 0);
  return [
    `${profile.name}: ${all} samples; ${figure(profile.framesPerCall)} frames per WASM call, ${figure(profile.syscallsPerFrame)} system calls per frame; ` +
      `WASM and JavaScript are ${share(ours, ofWeft)} of weft's time`,
    plainTable(shares, 2),
    plainTable(works),
    plainTable(calls),
    plainTable(functions, 2),
  ].join("\n\n");
}

/** @param ask how long each case is looked at, and over which systems. Resolves to the report. */
export async function profile(ask: ProfileAsk): Promise<string> {
  const profiles = await runInside<ProfileAsk, CaseProfile[]>("./profile-inside.js", ask);
  return `${profiles.map(describe).join("\n\n\n")}\n\nperf with cpu-clock; weft runs with --perf-basic-prof, which costs a little.\n`;
}
