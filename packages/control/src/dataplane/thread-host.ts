/** A worker thread as the main thread sees it: orders go out, acknowledgements and news come back. */
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { SwitchMemory, SwitchModule } from "@weft/dataplane-wasm";
import type { Link, WakeHandle } from "@weft/tun";
import type { HostEvents, Order, WorkerHost } from "./host.js";

/** What a thread is started with. */
export interface ThreadStart {
  readonly module: SwitchModule;
  readonly memory: SwitchMemory;
  readonly worker: number;
  readonly port: MessagePort;
}
/** Main thread to worker. */
export type ToWorker = { readonly id: number; readonly order: Order | { readonly do: "stop" } };
/** An error as it crosses threads: structured cloning drops the fields that system errors carry. */
export interface ErrorFacts {
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number>>;
}
/** Worker to main thread. */
export type FromWorker =
  | { readonly tell: "ready"; readonly wakeHandle: WakeHandle }
  | { readonly tell: "done"; readonly id: number; readonly error?: ErrorFacts }
  | { readonly tell: "gone"; readonly ports: readonly number[] }
  | { readonly tell: "attention" };

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

export class ThreadHost implements WorkerHost {
  readonly worker: number;
  alive = true;
  readonly #link: Link;
  readonly #events: HostEvents;
  readonly #thread: Worker;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #wakeHandle: WakeHandle | undefined;
  #nextId = 1;
  #stopping = false;
  #failure: Error | undefined;

  private constructor(link: Link, module: SwitchModule, memory: SwitchMemory, worker: number, events: HostEvents) {
    this.worker = worker;
    this.#link = link;
    this.#events = events;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const start: ThreadStart = { module, memory, worker, port: port2 };
    this.#thread = new Worker(new URL("./worker.js", import.meta.url), {
      name: `weft-worker-${worker}`,
      workerData: start,
      transferList: [port2],
      // The parent's loaders and inspectors have no business in a thread that never returns to its event loop.
      execArgv: [],
    });
    this.#thread.on("error", (error) => {
      this.#failure = error as Error;
    });
    this.#exited = new Promise((resolve) => {
      this.#thread.once("exit", () => {
        this.#over();
        resolve();
      });
    });
    port1.on("message", (message: FromWorker) => this.#hear(message));
  }

  /** Resolves when the worker polls. Rejects when it cannot start. */
  static async start(
    link: Link,
    module: SwitchModule,
    memory: SwitchMemory,
    worker: number,
    events: HostEvents,
  ): Promise<ThreadHost> {
    const host = new ThreadHost(link, module, memory, worker, events);
    await new Promise<void>((resolve, reject) => host.#waiting.set(0, { resolve, reject }));
    return host;
  }

  send(order: Order): Promise<void> {
    // After the stop order the eventfd's number may belong to somebody else.
    return this.#stopping ? Promise.reject(this.#dead()) : this.#send(order);
  }

  async stop(): Promise<void> {
    if (this.alive && !this.#stopping) {
      this.#stopping = true;
      await this.#send({ do: "stop" }).catch(() => undefined);
    }
    await this.#exited;
  }

  #send(order: ToWorker["order"]): Promise<void> {
    if (!this.alive || this.#wakeHandle === undefined) return Promise.reject(this.#dead());
    const message: ToWorker = { id: this.#nextId++, order };
    const handle = this.#wakeHandle;
    return new Promise((resolve, reject) => {
      this.#waiting.set(message.id, { resolve, reject });
      this.#port.postMessage(message);
      this.#link.wake(handle);
    });
  }

  #hear(message: FromWorker): void {
    if (message.tell === "gone") {
      this.#events.gone(this.worker, message.ports);
      return;
    }
    if (message.tell === "attention") {
      this.#events.attention(this.worker);
      return;
    }
    const id = message.tell === "ready" ? 0 : message.id;
    if (message.tell === "ready") this.#wakeHandle = message.wakeHandle;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (message.tell === "done" && message.error) {
      waiting?.reject(Object.assign(new Error(message.error.message), message.error.fields));
    } else waiting?.resolve();
  }

  #dead(): Error {
    return new Error(
      `worker ${this.worker} of the data plane has stopped${this.#failure ? `: ${this.#failure.message}` : ""}`,
    );
  }

  #over(): void {
    const started = this.#wakeHandle !== undefined;
    this.alive = false;
    this.#wakeHandle = undefined;
    this.#port.close();
    for (const { resolve, reject } of this.#waiting.values()) {
      if (this.#stopping) resolve();
      else reject(this.#failure ?? this.#dead());
    }
    this.#waiting.clear();
    if (started && !this.#stopping) this.#events.failed(this.worker, this.#failure ?? this.#dead());
  }
}
