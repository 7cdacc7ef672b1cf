/** A client of the daemon's API on its Unix socket. */
import { request } from "node:http";
import { type ErrorCode, WeftError } from "../errors.js";

/** Attaching waits for the kernel, closing for every port: both are quick, but never cut short. */
const CHANGE_MS = 60_000;
/** Looking takes milliseconds. */
const LOOK_MS = 5000;

/**
 * @throws WeftError no_daemon where nobody answers; otherwise what the daemon said.
 */
export async function call<T>(socketPath: string, method: string, path: string, body?: unknown): Promise<T> {
  // What the kernel takes; some Node.js versions cut a longer path and ask another socket.
  if (Buffer.byteLength(socketPath) > 107) {
    throw new WeftError(
      "invalid_input",
      `the socket path ${socketPath} is longer than 107 octets: give a shorter --socket`,
    );
  }
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const headers =
      payload === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
    const timeout = method === "GET" ? LOOK_MS : CHANGE_MS;
    const sent = request({ socketPath, method, path, headers, agent: false, timeout }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") }),
      );
      response.on("error", (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)));
    });
    sent.on("timeout", () =>
      sent.destroy(
        new WeftError(
          "no_daemon",
          `weft on ${socketPath} does not answer within ${timeout / 1000} s: its process hangs or is stopped; ` +
            "see its log, or restart it (containers stay attached)",
        ),
      ),
    );
    sent.on("error", (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)));
    sent.end(payload);
  });
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new WeftError(
      "no_daemon",
      `${socketPath} is not the control socket of a weft daemon: give the right --socket`,
    );
  }
  if (status < 200 || status > 299) {
    const {
      code,
      message,
      problems = [],
    } = (answer as { error: { code: ErrorCode; message: string; problems?: string[] } }).error;
    throw new WeftError(code, message, problems);
  }
  return answer as T;
}

function unreachable(path: string, error: NodeJS.ErrnoException): Error {
  if (error instanceof WeftError) return error;
  if (error.code === "EACCES" || error.code === "EPERM") {
    return new WeftError("no_daemon", `no permission for ${path}: run as root`);
  }
  if (error.code === "ENOENT" || error.code === "ECONNREFUSED" || error.code === "ENOTSOCK") {
    return new WeftError(
      "no_daemon",
      `no weft daemon answers on ${path}: start it with \`weft up\`, or give its --socket`,
    );
  }
  return new WeftError(
    "no_daemon",
    `the weft daemon on ${path} broke off (${error.code ?? error.message}): see its log`,
  );
}
