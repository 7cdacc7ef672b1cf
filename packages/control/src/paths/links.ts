/** Our part of the link-state: direct paths that work, with figures that change when something has happened, not with every echo. */
import type { LinksValue } from "../mesh/records.js";
import type { NodeId } from "../mesh/types.js";
import type { OwnLink } from "./next-hops.js";

/** As many as the record takes. */
const LINKS_MAX = 128;
/** Between two lists; and between two that differ in figures alone. */
const CHANGE_MS = 1_000;
const FIGURES_MS = 10_000;
/** A round trip is written in steps of this factor, and stays as it is written until it is further off than that. */
const RTT_STEP = 1.25;
const RTT_LEAST_US = 100;
/** Of 1000: loss is written in steps of two echoes in 32. */
const LOSS_STEP = 62.5;

type Links = LinksValue["data"];

export class DataLinks {
  readonly #publish: (links: Links) => void;
  #written: ReadonlyMap<NodeId, OwnLink> = new Map();
  #writtenAtMs = Number.NEGATIVE_INFINITY;

  constructor(publish: (links: Links) => void) {
    this.#publish = publish;
  }

  /** Whether it is time to look. */
  isDue(nowMs: number): boolean {
    return nowMs - this.#writtenAtMs >= CHANGE_MS;
  }
  /** Publishes when there is something to say. */
  update(links: readonly OwnLink[], nowMs: number): void {
    if (!this.isDue(nowMs)) return;
    const damped = links
      .map((link) => damp(link, this.#written.get(link.to)))
      .sort((a, b) => a.rttUs - b.rttUs || a.loss - b.loss || (a.to < b.to ? -1 : 1))
      .slice(0, LINKS_MAX);
    const isSame = damped.length === this.#written.size && damped.every(({ to }) => this.#written.has(to));
    const isEqual = isSame && damped.every((link) => this.#written.get(link.to) === link);
    if (isEqual || (isSame && nowMs - this.#writtenAtMs < FIGURES_MS)) return;
    this.#written = new Map(damped.map((link) => [link.to, link]));
    this.#writtenAtMs = nowMs;
    this.#publish(damped.map(({ to, rttUs, loss }) => ({ to, rttUs, loss })));
  }
}

/** What was written before, itself, where it still describes the link. */
function damp(link: OwnLink, before: OwnLink | undefined): OwnLink {
  const rtt = Math.max(RTT_LEAST_US, link.rttUs);
  const rttHolds = before !== undefined && rtt <= before.rttUs * RTT_STEP && rtt >= before.rttUs / RTT_STEP;
  const lossHolds = before !== undefined && Math.abs(link.loss - before.loss) <= LOSS_STEP;
  if (rttHolds && lossHolds) return before;
  return {
    to: link.to,
    rttUs: rttHolds ? before.rttUs : Math.min(60_000_000, stepOf(rtt)),
    loss: lossHolds ? before.loss : Math.floor(Math.floor(link.loss / LOSS_STEP) * LOSS_STEP),
  };
}

function stepOf(rttUs: number): number {
  return Math.round(RTT_LEAST_US * RTT_STEP ** Math.round(Math.log(rttUs / RTT_LEAST_US) / Math.log(RTT_STEP)));
}
