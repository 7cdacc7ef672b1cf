/**
 * What a service manager is told (sd_notify(3)): ready, stopping, and that the daemon's thread still turns. Nothing
 * happens where NOTIFY_SOCKET is not set.
 */
export interface Supervisor {
  ready(status: string): void;
  stopping(): void;
}

/** @param notify sends one message; what it throws is given to `onError`, once. */
export function openSupervisor(
  env: Readonly<Record<string, string | undefined>>,
  notify: (state: string) => unknown,
  onError: (error: unknown) => void,
): Supervisor {
  let broken = env.NOTIFY_SOCKET === undefined;
  const send = (state: string): void => {
    if (broken) return;
    try {
      notify(state);
    } catch (error) {
      broken = true;
      onError(error);
    }
  };
  const watched = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === process.pid;
  // Twice per period, as sd_watchdog_enabled(3) advises.
  const everyMs = watched ? Number(env.WATCHDOG_USEC ?? 0) / 2000 : 0;
  let timer: NodeJS.Timeout | undefined;
  return {
    ready(status) {
      send(`READY=1\nSTATUS=${status}`);
      if (everyMs > 0 && !broken) timer = setInterval(() => send("WATCHDOG=1"), everyMs).unref();
    },
    stopping() {
      clearInterval(timer);
      send("STOPPING=1");
    },
  };
}
