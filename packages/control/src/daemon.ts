/**
 * The daemon: the one place where configuration, state, data plane, API and metrics are put together.
 *
 * Order of the start: everything that may be taken by somebody else (state directory, control socket, metrics
 * address) comes before the first device is touched, so that a refused start leaves nothing behind.
 */
import { rmSync } from "node:fs";
import type { RequestListener } from "node:http";
import { kernelLink, type Link, sdNotify, setParentDeathSignal } from "@weft/tun";
import type { Config } from "./config/config.js";
import { DEFAULT_FDB } from "./config/defaults.js";
import type { MeshConfig } from "./config/mesh.js";
import { Dataplane } from "./dataplane/dataplane.js";
import { removeRecorded } from "./dataplane/device.js";
import type { DataplaneApi, WireguardSpec } from "./dataplane/types.js";
import { WeftError } from "./errors.js";
import type { Entered } from "./fabric/open.js";
import { featuresText, switchedOff } from "./features.js";
import { boundGarbage } from "./garbage.js";
import type { ApiOptions } from "./http/api.js";
import { healthListener } from "./http/health.js";
import { listenTcp, listenUnix, swappable } from "./http/listen.js";
import type { Metrics } from "./http/metrics.js";
import type { DaemonState } from "./http/status.js";
import { foundedText } from "./join-command.js";
import { keylogText } from "./keylog.js";
import { errorFields, type Log, openLog } from "./log/log.js";
import type { JoinToken } from "./mesh-answers.js";
import { reload } from "./reload.js";
import type { MeshControl } from "./router/mesh-control.js";
import { withNamespaceOf } from "./router/namespace.js";
import { Router } from "./router/router.js";
import { Watch } from "./router/watch.js";
import { lockStateDir } from "./state/lock.js";
import { EMPTY_STATE, prepareStateDir, StateStore } from "./state/store.js";
import { openSupervisor } from "./systemd.js";

/** Why a running daemon ends. */
type End =
  | { readonly why: "signal"; readonly signal: string }
  | { readonly why: "down" }
  /** By `weft leave`. */
  | { readonly why: "left" }
  /** From the network, by another node. */
  | { readonly why: "removed"; readonly error: unknown }
  | { readonly why: "failed"; readonly error: unknown };

/** A stop that takes longer than this is broken off: containers keep their devices then, too. */
const STOP_MS = 10_000;

/**
 * Runs until SIGTERM, SIGINT or `weft down`. SIGHUP reads the configuration file again; without one it ends the
 * daemon, as a closed terminal does.
 *
 * @param reread reads the configuration again, where it comes from a file.
 * @returns the exit code: 0, or 1 after a failure while running.
 * @throws what kept it from starting; nothing is left behind then.
 */
export async function runDaemon(config: Config, reread?: () => Promise<Config>): Promise<number> {
  dieWithParent();
  const log = await openLog({ level: config.logLevel, format: config.logFormat, name: config.name });
  const { promise: end, resolve: stop } = deferred<End>();
  const stopping = reread ? (["SIGTERM", "SIGINT"] as const) : (["SIGTERM", "SIGINT", "SIGHUP"] as const);
  for (const signal of stopping) process.on(signal, () => stop({ why: "signal", signal }));
  const { promise: running, resolve: run } = deferred<Router>();
  // A signal during the start waits for its end.
  if (reread) process.on("SIGHUP", () => void running.then((router) => reload(router, config, reread, log)));
  process.on("uncaughtException", (error) => stop({ why: "failed", error }));
  process.on("unhandledRejection", (error) => stop({ why: "failed", error }));

  const { promise: left, resolve: leave } = deferred<End>();

  let state: DaemonState = "starting";
  let router: Router;
  let metrics: Promise<Metrics> | undefined;
  let mesh: MeshControl | undefined;
  let founded: JoinToken | undefined;
  let open: () => void;
  /** What the end has to take back, and what only a failed start has to. */
  const undo: (() => unknown)[] = [];
  const failed: (() => unknown)[] = [];
  const undoAll = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        log.error({ component: "daemon", ...errorFields(log, error) }, "part of the end failed");
      }
    }
  };

  try {
    const startedAt = new Date();
    const store = config.stateDir === undefined ? undefined : openStore(config.stateDir, config.socket, undo, failed);
    const kept = store?.load() ?? EMPTY_STATE;
    const entry = swappable();
    const control = await listenUnix(config.socket, entry.listener);
    undo.push(() => control.close());
    let metricsUrl: string | null = null;
    if (config.metrics) {
      const tcp = await listenTcp(config.metrics, healthListener({ metrics: () => metrics, state: () => state, log }));
      undo.push(() => tcp.close());
      metricsUrl = `http://${tcp.where}/metrics`;
    }

    const link = kernelLink();
    tryDevice(link);
    const underlay = config.underlay ?? defaultUnderlay(link, log);
    const entered = config.mesh && (await enter(config, config.mesh, underlay, link, log, undo));
    const dataplane = await startDataplane(
      config,
      underlay,
      entered ?? { wireguard: config.wireguard, routesMax: config.limits.routes },
      log,
      failed,
    );
    // Devices of a persistent data plane outlive a start that fails later on.
    undo.push(() => (store ? dataplane.park() : dataplane.close()));
    dataplane.on("event", (event) => {
      if (event.type === "workerFailed") stop({ why: "failed", error: event.error });
      else if (event.type === "portState") {
        const { id: port, network, state } = event;
        log.debug({ component: "ports", port, network, state }, "port state");
      }
    });
    const watch = new Watch(dataplane, log, entered && { isMember: entered.isMember });
    const current = new Router({
      dataplane,
      store,
      networks: config.networks,
      state: kept,
      peers: config.wireguard?.peers,
      vteps: config.vteps,
      log,
      removeDevice: (record) => withNamespaceOf(record, (netnsFd) => removeRecorded(kernelLink(), record, netnsFd)),
    });
    const woven =
      entered && config.mesh
        ? await (await import("./fabric/open.js")).openFabric(
            entered,
            config,
            config.mesh,
            dataplane,
            current,
            log,
            (why) => (why.why === "failed" ? stop(why) : leave(why)),
          )
        : undefined;
    await current.start(kept);
    router = current;
    undo.pop();
    undo.push(() => (store ? current.park() : current.down()));
    // First of all: gateways and control links go while the data plane still runs.
    let isDown = false;
    undo.push(() => woven?.fabric.close(store !== undefined && !isDown));
    await woven?.fabric.open();
    const detachAll = async (why: End): Promise<void> => {
      state = "stopping";
      try {
        isDown = true;
        await woven?.fabric.close(false);
        await current.down();
        stop(why);
      } catch (error) {
        stop({ why: "failed", error });
        throw error;
      }
    };
    // It may have been heard in the middle of the start.
    void left.then(detachAll).catch(() => undefined);
    founded = entered?.founded;
    mesh = woven?.control;

    const { name, socket } = config;
    const stateDir = config.stateDir ?? null;
    const down = (): Promise<void> => detachAll({ why: "down" });
    const facts = () => ({ name, state, startedAt, socket, metrics: metricsUrl, stateDir, watch });
    open = () => {
      const answers = loadAnswers({ router: current, mesh, facts, down, log }, watch, config);
      answers.catch((error: unknown) => stop({ why: "failed", error }));
      metrics = answers.then((a) => a.metrics);
      entry.use((request, response) => void answers.then((a) => a.api(request, response)));
    };
  } catch (error) {
    await undoAll();
    for (const step of failed) await step();
    throw error;
  }

  const supervisor = openSupervisor(process.env, sdNotify, (error) =>
    log.warn({ component: "daemon", ...errorFields(log, error) }, "service manager not told"),
  );
  state = "ready";
  const ports = router.dataplane.ports().length;
  const networks = router.dataplane.networks().length;
  const ms = Math.round(performance.now());
  const { user, system } = process.cpuUsage();
  const cpuMs = Math.round((user + system) / 1000);
  log.info({ component: "daemon", socket: config.socket, networks, ports, ms, cpuMs }, "ready");
  supervisor.ready(`${networks} networks, ${ports} ports`);
  run(router);
  open();
  if (founded) process.stdout.write(`${foundedText(founded, config.logFormat)}\n`);
  boundGarbage();

  const ended = await end;
  state = "stopping";
  supervisor.stopping();
  setTimeout(() => {
    log.error({ component: "daemon" }, `not stopped within ${STOP_MS / 1000} s: broken off`);
    process.exit(1);
  }, STOP_MS).unref();
  if (ended.why === "failed")
    log.fatal({ component: "daemon", ...errorFields(log, ended.error) }, "weft cannot go on; ports are parked");
  else if (ended.why === "removed")
    log.fatal({ component: "daemon", ...errorFields(log, ended.error) }, "out of the network; everything is detached");
  else
    log.info(
      { component: "daemon", ...(ended.why === "signal" ? { signal: ended.signal } : {}) },
      stopText(ended, config),
    );
  await undoAll();
  return "error" in ended ? 1 : 0;
}

/**
 * Loads what answers requests: most of the daemon's code, and nothing that a frame needs. Requests wait meanwhile.
 * Not put off until the first of them: by then the files may be those of another version.
 */
async function loadAnswers(
  options: ApiOptions,
  watch: Watch,
  { limits }: Config,
): Promise<{ api: RequestListener; metrics: Metrics }> {
  const [{ apiListener }, { openMetrics }] = await Promise.all([import("./http/api.js"), import("./http/metrics.js")]);
  const { router, mesh } = options;
  const metrics = openMetrics(router.dataplane, {
    mesh,
    parked: () => router.parked.map((p) => p.record),
    isUp: (address) => watch.isUp(address),
    fdbLimit: limits.fdb ?? DEFAULT_FDB,
  });
  return { api: apiListener(options), metrics };
}

function stopText(end: End, config: Config): string {
  if (end.why === "down") return "stopping: everything is detached";
  if (end.why === "left") return "stopping: the network is left, everything is detached";
  return config.stateDir === undefined
    ? "stopping: every port is removed"
    : "stopping: ports are parked, containers keep their devices";
}

function openStore(directory: string, socket: string, undo: (() => unknown)[], failed: (() => unknown)[]): StateStore {
  const made = prepareStateDir(directory);
  if (made !== undefined) failed.push(() => rmSync(made, { recursive: true, force: true }));
  const lock = lockStateDir(directory, socket);
  undo.push(() => lock.release());
  return new StateStore(directory);
}

/** Membership: undone when the start fails before the fabric has it. */
async function enter(
  config: Config,
  mesh: MeshConfig,
  underlay: readonly string[],
  link: Link,
  log: Log,
  undo: (() => unknown)[],
): Promise<Entered> {
  const entered = await (await import("./fabric/open.js")).enterMesh(config, mesh, underlay, link, log);
  undo.push(() => entered.membership.close());
  return entered;
}

async function startDataplane(
  config: Config,
  underlay: readonly string[],
  { wireguard, routesMax }: { readonly wireguard?: WireguardSpec | undefined; readonly routesMax?: number | undefined },
  log: Log,
  failed: (() => unknown)[],
): Promise<DataplaneApi> {
  const { limits } = config;
  if (wireguard?.keylog !== undefined) await prepareKeylog(wireguard.keylog, log, failed);
  const dataplane: DataplaneApi = await Dataplane.start({
    underlay,
    vxlanPort: config.vxlanPort,
    workers: config.workers,
    persistent: config.stateDir !== undefined,
    ...(limits.fdb === undefined ? {} : { fdbMax: limits.fdb }),
    ...(limits.ports === undefined ? {} : { portsMax: limits.ports }),
    ...(limits.vteps === undefined ? {} : { vtepsMax: limits.vteps }),
    ...(routesMax === undefined ? {} : { routesMax }),
    ...(limits.networks === undefined ? {} : { networksMax: limits.networks }),
    ...(wireguard === undefined ? {} : { wireguard }),
  });
  // The data plane has made of it what it needs.
  wireguard?.privateKey.fill(0);
  const { features, socketBuffers, abi, warnings } = dataplane.info;
  log.info({ component: "dataplane" }, `kernel ${featuresText({ ...features }, switchedOff())}`);
  log.debug({ component: "dataplane", ...features, socketBuffers, abi }, "features");
  for (const warning of warnings) log.warn({ component: "dataplane" }, warning);
  const own = dataplane.wireguard();
  if (own) {
    const { publicKey, listenPort, address, device, mtu, peers } = own;
    log.info({ component: "wireguard", publicKey, listenPort, address, device, mtu, peers: peers.length }, "WireGuard");
  }
  return dataplane;
}

async function prepareKeylog(path: string, log: Log, failed: (() => unknown)[]): Promise<void> {
  const { makeKeylog } = await import("./wireguard/key.js");
  if (makeKeylog(path)) failed.push(() => rmSync(path, { force: true }));
  log.warn({ component: "wireguard", keylog: path }, keylogText(path));
}

/** Without TAP devices nothing works: said at once, with the reason, not at the first attach. */
function tryDevice(link: Link): void {
  link.openDevice({ kind: "tap", name: "weft-try%d", vnetHdr: true }).close();
}

function defaultUnderlay(link: Link, log: Log): string[] {
  const found = link.defaultSources();
  if (found.length === 0)
    throw new WeftError(
      "unsupported",
      "there is no default route to take the underlay address from: give --underlay ADDR",
    );
  log.info({ component: "daemon", underlay: found }, "underlay: source addresses of the default route");
  return found;
}

/** For test runners: killing the runner leaves no daemon. */
function dieWithParent(): void {
  if (process.env.WEFT_DIE_WITH_PARENT !== "1") return;
  const parent = process.ppid;
  setParentDeathSignal(9);
  // The parent that was there before the call may be gone already.
  if (process.ppid !== parent) process.exit(1);
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((r) => {
    resolve = r;
  });
  return { promise, resolve };
}
