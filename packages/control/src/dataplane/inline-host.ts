/**
 * A worker on the caller's event loop, for links in memory: a turn is run when something became readable, and now and
 * then for ageing. No thread, so a test's order of events is the order of its frames.
 */
import { instantiate, type SwitchMemory, type SwitchModule } from "@weft/dataplane-wasm";
import { type Link, READY } from "@weft/tun";
import { carryOut, type HostEvents, type Order, type WorkerHost } from "./host.js";
import { SwitchLoop } from "./loop.js";

/** Milliseconds between two turns without traffic. */
const AGE_MS = 100;

export class InlineHost implements WorkerHost {
  readonly worker = 0;
  alive = true;
  readonly #io;
  readonly #loop: SwitchLoop;
  readonly #events: HostEvents;
  readonly #timer: NodeJS.Timeout;
  #scheduled = false;

  constructor(link: Link, module: SwitchModule, memory: SwitchMemory, events: HostEvents) {
    this.#events = events;
    this.#io = link.createIo(new Uint8Array(memory.memory.buffer), this.worker);
    this.#loop = new SwitchLoop({
      exports: instantiate(module.module, memory.memory),
      memory,
      io: this.#io,
      worker: this.worker,
    });
    this.#io.onReadable?.(() => this.#schedule());
    this.#timer = setInterval(() => this.#schedule(), AGE_MS);
    this.#timer.unref();
  }

  async send(order: Order): Promise<void> {
    if (!this.alive) throw new Error("the data plane's worker has stopped");
    carryOut(order, this.#io, this.#loop);
    // A port may have frames waiting already.
    if (order.do === "addPort" || order.do === "readPort") this.#schedule();
  }

  async stop(): Promise<void> {
    if (!this.alive) return;
    this.alive = false;
    clearInterval(this.#timer);
    this.#loop.park();
    this.#io.close();
  }

  #schedule(): void {
    if (this.#scheduled || !this.alive) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    if (!this.alive) return;
    try {
      const ready = this.#loop.turn(0);
      // Between turns the main thread may publish: it is the same thread.
      this.#loop.park();
      if (ready & READY.GONE) this.#events.gone(this.worker, this.#io.takeGonePorts());
      if (this.#loop.wantsAttention()) this.#events.attention(this.worker);
      if (ready & (READY.TAP | READY.UDP)) this.#schedule();
    } catch (error) {
      this.alive = false;
      clearInterval(this.#timer);
      this.#events.failed(this.worker, error as Error);
    }
  }
}
