/** Opens TLS connections to other nodes, and says in plain words what stood in the way. */
import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIPv6 } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { splitEndpoint } from "../config/formats.js";
import { type PskIdentity, pskIdentityText } from "./psk.js";
import { ALPN, TLS_SETTINGS } from "./tls-settings.js";

export const CONTROL_PORT = 6783;
/** Milliseconds after which a silent connection is probed by the kernel. */
export const KEEPALIVE_MS = 10_000;

export interface Target {
  readonly address: string;
  readonly port: number;
}

export type DialFailure =
  /** Nobody answers there, or not in time. */
  | "unreachable"
  /** It does not take what we have shown. */
  | "refused"
  /** It speaks something else. */
  | "version"
  /** The connection ended in the middle. */
  | "broken";

/** The message is a whole sentence that names the target. */
export class DialError extends Error {
  override readonly name = "DialError";
  readonly failure: DialFailure;

  constructor(failure: DialFailure, message: string) {
    super(message);
    this.failure = failure;
  }
}

/**
 * Alerts by which OpenSSL says that it does not take a pre-shared key: which of them depends on its version, and on whether it
 * knows the identity, which is nobody's business.
 */
const REFUSED = /ALERT_(UNKNOWN_PSK_IDENTITY|DECRYPT_ERROR|ILLEGAL_PARAMETER|HANDSHAKE_FAILURE)$/;
const OTHER_VERSION = /ALERT_(NO_APPLICATION_PROTOCOL|PROTOCOL_VERSION)$/;

/**
 * @param refused what it means when the other end does not take our key
 * @returns a socket that is authenticated both ways, and paused
 * @throws DialError
 */
export function openTls(
  target: Target,
  key: { readonly identity: PskIdentity; readonly psk: Buffer },
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined; refused(where: string): string },
): Promise<TLSSocket> {
  const where = targetText(target);
  const tcp = connectTcp({ host: target.address, port: target.port, noDelay: true });
  tcp.setKeepAlive(true, KEEPALIVE_MS);
  return new Promise((resolve, reject) => {
    let tls: TLSSocket | undefined;
    const fail = (error: DialError): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
      tls?.destroy();
      tcp.destroy();
      reject(error);
    };
    const onError = (error: Error): void => fail(explain(error, where, options.refused));
    const onClose = (): void =>
      fail(
        new DialError("broken", `${where} closed the connection: too many others may be connecting, or it is no weft`),
      );
    const onAbort = (): void => fail(new DialError("broken", `${where}: given up`));
    const timer = setTimeout(
      () =>
        fail(
          new DialError(
            "unreachable",
            `${where} does not answer within ${options.timeoutMs / 1000} s: is the host up, and this TCP port open?`,
          ),
        ),
      options.timeoutMs,
    );
    options.signal?.addEventListener("abort", onAbort, { once: true });
    // Errors after the end have nobody to tell.
    tcp.on("error", onError);
    tcp.once("connect", () => {
      tls = connectTls({
        ...TLS_SETTINGS,
        socket: tcp,
        ALPNProtocols: [ALPN],
        pskCallback: () => ({ identity: pskIdentityText(key.identity), psk: key.psk }),
        // Called only for a server that comes with a certificate instead of our key.
        checkServerIdentity: () => new Error("certificates are not used here"),
      });
      const socket = tls;
      socket.on("error", onError);
      socket.once("close", onClose);
      socket.once("secureConnect", () => {
        if (!socket.isSessionReused() || socket.alpnProtocol !== ALPN) {
          fail(new DialError("version", `${where} is no weft, or one with another control protocol`));
          return;
        }
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", onAbort);
        socket.off("close", onClose);
        socket.pause();
        resolve(socket);
      });
    });
    if (options.signal?.aborted) onAbort();
  });
}

function explain(error: Error, where: string, refused: (where: string) => string): DialError {
  const code = (error as NodeJS.ErrnoException).code ?? error.message;
  if (REFUSED.test(code)) return new DialError("refused", refused(where));
  if (OTHER_VERSION.test(code))
    return new DialError(
      "version",
      `${where} speaks another version of the control protocol: run the same weft on both`,
    );
  if (code === "ECONNREFUSED")
    return new DialError(
      "unreachable",
      `${where}: nobody listens there (connection refused): is weft up, with this --port?`,
    );
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH")
    return new DialError("unreachable", `${where}: there is no way to it`);
  if (code === "ETIMEDOUT") return new DialError("unreachable", `${where} does not answer`);
  if (code === "ECONNRESET" || code === "EPIPE")
    return new DialError(
      "broken",
      `${where} closed the connection: too many others may be connecting, or it is no weft`,
    );
  if (code.startsWith("ERR_SSL_"))
    return new DialError("version", `${where} is no weft (it does not speak TLS 1.3 with our settings)`);
  return new DialError("broken", `${where}: ${code}`);
}

/** `ADDR`, `ADDR:PORT` or `[ADDR]:PORT`; undefined for anything else. */
export function targetAt(text: string): Target | undefined {
  const endpoint = splitEndpoint(text);
  return endpoint && endpoint.port !== 0
    ? { address: endpoint.address, port: endpoint.port ?? CONTROL_PORT }
    : undefined;
}

/**
 * `ADDR`, `ADDR:PORT`, `[ADDR]:PORT`, `NAME` or `NAME:PORT`; without a port it is 6783. A name may have several addresses.
 *
 * @throws DialError for what cannot be understood or is not known
 */
export async function resolveTargets(text: string): Promise<Target[]> {
  const endpoint = splitEndpoint(text);
  const target = targetAt(text);
  if (target) return [target];
  const parts = /^([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(parts?.[2] ?? CONTROL_PORT);
  const name = parts?.[1];
  if (name === undefined || endpoint || port < 1 || port > 65_535)
    throw new DialError(
      "unreachable",
      `${JSON.stringify(text.slice(0, 80))} is no host: give ADDR, ADDR:PORT, [ADDR]:PORT, NAME or NAME:PORT`,
    );
  try {
    return (await lookup(name, { all: true })).map(({ address }) => ({ address, port }));
  } catch (error) {
    throw new DialError(
      "unreachable",
      `${name}: no address is known for this name (${(error as NodeJS.ErrnoException).code})`,
    );
  }
}

export function targetText({ address, port }: Target): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
