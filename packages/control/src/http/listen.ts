/** The daemon's two listeners: the control socket, and the TCP one that has nothing but metrics and health. */
import { chmodSync, lstatSync, mkdirSync, rmdirSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, isIPv6 } from "node:net";
import { dirname } from "node:path";
import type { Listen } from "../config/config.js";
import { WeftError } from "../errors.js";
import { listens } from "../listens.js";

export interface Listener {
  /** Path, or ADDR:PORT with the port really taken. */
  readonly where: string;
  /** Answers what is running, takes nothing new. */
  close(): Promise<void>;
}

/** A listener for a server that must listen before it can answer: 503 until the real one is there. */
export function swappable(): { readonly listener: RequestListener; use(next: RequestListener): void } {
  let current: RequestListener = (request, response) => {
    const error = { code: "unavailable", message: "weft is starting: try again in a second" };
    request.resume();
    response.writeHead(503, { "Content-Type": "application/json" }).end(JSON.stringify({ error }));
  };
  return {
    listener: (request, response) => current(request, response),
    use(next) {
      current = next;
    },
  };
}

/**
 * Listens on the control socket, mode 0660. A socket nobody answers on is replaced.
 *
 * @throws WeftError already_running when somebody answers, conflict when something else is in the way.
 */
export async function listenUnix(path: string, handle: RequestListener): Promise<Listener> {
  if (Buffer.byteLength(path) > 107)
    throw new WeftError("invalid_input", `the socket path ${path} is longer than 107 octets: give a shorter --socket`);
  let made: string | undefined;
  try {
    made = mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new WeftError(
      "conflict",
      `cannot make the directory of the control socket ${path} (${(error as NodeJS.ErrnoException).code}): run as root, or give --socket`,
    );
  }
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there && !there.isSocket())
    throw new WeftError("conflict", `${path} is in the way and is no socket: remove it, or give another --socket`);
  if (there) {
    if (await listens(path)) {
      throw new WeftError(
        "already_running",
        `weft already runs here: it answers on ${path}. \`weft down\` ends it; a second one needs its own --socket`,
      );
    }
    rmSync(path, { force: true });
  }
  const server = createServer(handle);
  const mask = process.umask(0o117);
  try {
    await listening(server, () => server.listen(path));
    chmodSync(path, 0o660);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new WeftError(
      "conflict",
      `cannot listen on ${path} (${code}): ${code === "EADDRINUSE" ? "another weft starts there" : "run as root, or give another --socket"}`,
    );
  } finally {
    process.umask(mask);
  }
  const close = async (): Promise<void> => {
    await closed(server);
    if (made !== undefined) removeEmpty(dirname(path), made);
  };
  return { where: path, close };
}

/** Removes directories that were made here, innermost first, as long as they are empty. */
function removeEmpty(inner: string, outer: string): void {
  try {
    rmdirSync(inner);
    if (inner !== outer) removeEmpty(dirname(inner), outer);
  } catch {
    // Somebody else uses it.
  }
}

/** @throws WeftError conflict when the address is taken or not of this machine. */
export async function listenTcp({ host, port }: Listen, handle: RequestListener): Promise<Listener> {
  const server = createServer(handle);
  // Scrapers keep their connection; it must not keep a stopping daemon.
  server.keepAliveTimeout = 30_000;
  const text = (p: number): string => (isIPv6(host) ? `[${host}]:${p}` : `${host}:${p}`);
  try {
    await listening(server, () => server.listen({ host, port }));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "EADDRINUSE"
        ? "another program listens there"
        : code === "EADDRNOTAVAIL"
          ? "this machine does not have the address"
          : (code ?? String(error));
    throw new WeftError(
      "conflict",
      `cannot serve metrics on ${text(port)}: ${why}. Give another --metrics ADDR:PORT, or --metrics off`,
    );
  }
  return { where: text((server.address() as AddressInfo).port), close: () => closed(server) };
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      // A connection that cannot be taken, out of memory or of descriptors: the next one may be.
      server.on("error", () => undefined);
      resolve();
    });
    listen();
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    // A scrape or a listing takes milliseconds; a client that holds its connection longer is cut off.
    setTimeout(() => server.closeAllConnections(), 500).unref();
  });
}
