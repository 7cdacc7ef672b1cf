/**
 * `npm run bench -- serve` and `npm run bench -- to HOST`: the same senders and receivers as end to end, between two
 * machines. They need the repository and a C compiler on both; `weft bench serve` and `weft bench to` need neither and
 * are slower.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { isIP, isIPv6 } from "node:net";
import { promisify } from "node:util";
import { buildPeer } from "./peer.js";
import { zeroLossRate } from "./rfc2544.js";
import { type Cells, figure, plainTable } from "./table.js";

const run = promisify(execFile);
/** Control connections; traffic uses the port after it. Not the one of `weft bench serve`. */
const PORT = 6785;
const STREAMS = 4;
const SMALL = 64;
const WARM = 0.5;
const LOWEST_KPPS = 0.5;
const HIGHEST_KPPS = 5000;

/** ADDR, ADDR:PORT or [ADDR]:PORT taken apart. Names are not resolved: they have several addresses. */
export function readEndpoint(text: string, fallback: string): { address: string; port: number } {
  const parts = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const address = text === "" ? fallback : isIPv6(text) ? text : (parts?.[1] ?? parts?.[2] ?? "");
  const port = isIPv6(text) || parts?.[3] === undefined ? PORT : Number(parts[3]);
  if (isIP(address) === 0 || port < 1 || port > 65_534)
    throw new Error(`bench: ${text}: write ADDR, ADDR:PORT or [ADDR]:PORT, with a port below 65535`);
  return { address, port };
}

/** Answers tests until it is interrupted. */
export async function serveTests(where: string): Promise<number> {
  const { address, port } = readEndpoint(where, "0.0.0.0");
  const child = spawn(buildPeer(), ["serve", address, String(port)], { stdio: ["ignore", "ignore", "inherit"] });
  process.stdout.write(`listening on ${address} port ${port} and ${port + 1}; there: npm run bench -- to ADDR\n`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill("SIGTERM"));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  return signal === "SIGTERM" ? 0 : (code ?? 1);
}

type Answer = Partial<Record<string, number>>;

/** @param seconds of each window */
export async function testTo(where: string, seconds: number, trial: number, loss: number): Promise<number> {
  const { address, port } = readEndpoint(where, "");
  const program = buildPeer();
  const ask = async (...words: readonly (string | number)[]): Promise<Answer> => {
    try {
      const { stdout } = await run(program, ["to", address, String(port), ...words.map(String)]);
      return JSON.parse(stdout) as Answer;
    } catch (error) {
      const said = (error as { stderr?: string }).stderr?.trim();
      throw new Error(`bench: ${said || (error as Error).message}; is \`npm run bench -- serve\` running there?`);
    }
  };
  const cells: string[][] = [["test", "got", "", ""]];
  const tell = (what: string, value: number | null, unit: string, more: string): void => {
    cells.push([what, value === null ? "none" : figure(value), unit, more]);
    process.stderr.write(`${what}: ${value === null ? "none" : figure(value)} ${unit}\n`);
  };
  for (const [test, title] of [
    ["tcp", "TCP to there"],
    ["tcp-back", "TCP from there"],
  ] as const) {
    for (const streams of [1, STREAMS]) {
      const { bytes = Number.NaN, seconds: took = 1, retransmits = 0 } = await ask(test, streams, WARM, seconds);
      const what = `${title}, ${streams} stream${streams === 1 ? "" : "s"}`;
      tell(what, (bytes * 8) / took / 1e9, "Gbit/s", `${retransmits} retransmits`);
    }
  }
  for (const octets of [SMALL, 512, 1400, "imix"]) {
    const r = await ask("udp", octets, 0, 0, WARM, seconds);
    const { packets = Number.NaN, sent = Number.NaN, seconds: took = 1, lost = 0, reordered = 0 } = r;
    const more = `lost ${figure((lost / sent) * 100)} % of ${figure(sent / took / 1e3)}, reordered ${reordered}`;
    tell(`UDP to there, ${octets}${octets === "imix" ? "" : " octets"}`, packets / took / 1e3, "kpps", more);
  }
  const found = await zeroLossRate(
    async (kpps) => {
      const r = await ask("udp", SMALL, Math.round(kpps * 1000), 0, Math.min(WARM, trial), trial);
      const { sent = 0, lost = 0, seconds: took = 1 } = r;
      return { offeredKpps: sent / took / 1e3, lostShare: sent > 0 ? lost / sent : 1 };
    },
    { lowest: LOWEST_KPPS, highest: HIGHEST_KPPS, allowed: loss },
  );
  const bound = found.senderBound ? ", as fast as the sender can" : "";
  tell(`UDP without loss, ${SMALL} octets`, found.kpps, "kpps", `${found.trials} trials of ${trial} s${bound}`);
  const ping = await ask("ping", SMALL, WARM, seconds);
  const more = `p99 ${figure(ping.p99Us ?? Number.NaN)}, p99.9 ${figure(ping.p999Us ?? Number.NaN)}, lost ${ping.lost ?? 0}`;
  tell(`round trip, ${SMALL} octets`, ping.medianUs ?? Number.NaN, "µs", more);
  const table: Cells = cells;
  process.stdout.write(`\n${plainTable(table)}\n\nOne window of ${seconds} s each, nothing compared.\n`);
  return 0;
}
