/**
 * The time that this machine has had. Where it is a virtual one, its host may give the processors to others meanwhile; the kernel counts
 * that as stolen (proc_stat(5)). A deadline says how long weft takes on the processors that there are, so stolen time is not counted
 * against it; on a machine of one's own both are the same.
 */
import { readFileSync } from "node:fs";

/** Milliseconds of a jiffy in /proc/stat: USER_HZ is 100 on every architecture that Node.js runs on. */
const JIFFY_MS = 10;
/** Columns of the `cpu` line: user nice system idle iowait irq softirq steal. */
const STEAL = 8;

/** Milliseconds stolen from each processor since the boot, on average. */
function stolenMs(): number {
  const lines = readFileSync("/proc/stat", "latin1").split("\n");
  const processors = lines.filter((line) => /^cpu\d/.test(line)).length;
  return (Number(lines[0]?.split(/\s+/)[STEAL] ?? 0) * JIFFY_MS) / Math.max(1, processors);
}

/** A clock in milliseconds that stands still while the machine does. For differences. */
export const ownMs = (): number => performance.now() - stolenMs();

/** Begins to measure. @returns asks which share of the time since then, 0 to 1, the machine has had. */
export function ownShare(): () => number {
  const [wall, own] = [performance.now(), ownMs()];
  return () => {
    const passed = performance.now() - wall;
    return passed <= 0 ? 1 : Math.min(1, Math.max(0, (ownMs() - own) / passed));
  };
}

/** Calls back after so many milliseconds of the machine's own. @returns forgets about it */
export function afterOwn(ms: number, callback: () => void): () => void {
  const end = ownMs() + ms;
  let timer: NodeJS.Timeout;
  const look = (): void => {
    const left = end - ownMs();
    if (left <= 0) callback();
    else timer = setTimeout(look, left);
  };
  timer = setTimeout(look, ms);
  return () => clearTimeout(timer);
}

/** Waits so many milliseconds of the machine's own: for what something else on it needs to get done. */
export const ownSleep = (ms: number): Promise<void> => new Promise((resolve) => afterOwn(ms, resolve));
