/**
 * Sorts the samples of `perf script` by what the processor was doing: idle, in the kernel, in the addon, in WebAssembly,
 * in JavaScript, in Node.js itself.
 */

/** Who ran: a weft daemon, a traffic program, the kernel for nobody in particular, any other program, nobody. */
export type Who = "weft" | "traffic" | "kernel" | "other" | "idle";
export type Where = "kernel" | "addon" | "WASM" | "JavaScript" | "Node.js, V8" | "C library" | "user" | "idle";

/** What a place of a daemon is for: which of these grows says what to look at. */
export function workOf({ where, symbol }: Pick<Sample, "where" | "symbol">): string {
  if (where === "WASM") {
    if (/\/crypto\//.test(symbol)) return "WASM: ChaCha20-Poly1305";
    return /\/checksum\//.test(symbol) ? "WASM: checksums" : "WASM: the rest";
  }
  if (/memcpy|memmove|copy_(to|from|page)|copy_user|csum_partial_copy|rep_movs/.test(symbol)) return "copies";
  if (where === "kernel") return /csum|checksum/.test(symbol) ? "kernel: checksums" : "kernel: the rest";
  return where;
}

/** How often a place was met. */
export interface Sample {
  readonly who: Who;
  readonly where: Where;
  /** Function on top of the stack. */
  readonly symbol: string;
  /** System call that the kernel was in, without prefix; "" for none. */
  readonly call: string;
  readonly count: number;
}

interface Frame {
  readonly symbol: string;
  readonly object: string;
}

/** Waiting for work with nothing to do, on bare metal and in virtual machines. */
const IDLE =
  /^(pv_native_safe_halt|native_safe_halt|default_idle|acpi_idle\w*|acpi_safe_halt|intel_idle\w*|mwait_idle\w*|cpuidle_\w+|poll_idle)$/;
/** V8 writes WASM functions as `JS:NAME-INDEX-TIER` into its symbol map. */
const WASM = /-\d+-(turbofan|liftoff)$/;

function whereIs(top: Frame): Where {
  const { object, symbol } = top;
  if (object.startsWith("[kernel") || object.startsWith("[guest.kernel") || /\.ko(\.\w+)?$/.test(object))
    return IDLE.test(symbol) ? "idle" : "kernel";
  if (object.endsWith(".node")) return "addon";
  if (/\/perf-\d+\.map$/.test(object)) return WASM.test(symbol) ? "WASM" : "JavaScript";
  if (/\/node$/.test(object)) return "Node.js, V8";
  if (/\/(libc|ld-linux|libpthread|libstdc)[^/]*$/.test(object) || object === "[vdso]") return "C library";
  // Code that V8 made after its map was read, or outside any file.
  if (/anon|\[JIT\]|\[unknown\]/.test(object)) return "JavaScript";
  return "user";
}

/** Entry of a system call, or what it jumps to without leaving a frame of its own. */
const ENTRY =
  /^(?:__(?:x64|arm64|riscv|s390x|powerpc)_sys_|ksys_|do_)(epoll_p?wait|futex|read|readv|write|writev|recvmmsg|sendmmsg|recvmsg|sendmsg|[a-z0-9]+)$/;

/** The outermost system call of a stack; "" for none. */
function callOf(stack: readonly Frame[]): string {
  const outer = stack.findLastIndex(({ symbol }) => /^(do_syscall_64|el0_svc|do_el0_svc|invoke_syscall)$/.test(symbol));
  for (let i = outer - 1; i >= Math.max(0, outer - 3); i--) {
    const found = ENTRY.exec(stack[i]?.symbol ?? "");
    if (found?.[1]) return found[1];
  }
  return "";
}

/** perf names what runs outside its process namespace "swapper" 0, other programs and kernel threads alike. */
function whoRan(
  head: { comm: string; pid: number },
  where: Where,
  stack: readonly Frame[],
  weft: readonly number[],
): Who {
  if (where === "idle") return "idle";
  if (weft.includes(head.pid)) return "weft";
  if (head.comm === "peer") return "traffic";
  const kernelOnly = where === "kernel" && stack.some(({ symbol }) => /^(do_idle|kthread)$/.test(symbol));
  return kernelOnly ? "kernel" : "other";
}

/**
 * Reads the output of `perf script -F comm,pid,tid,ip,sym,dso` line by line.
 * @param weft process ids of the daemons
 */
export function readSamples(weft: readonly number[]): { line(text: string): void; end(): Sample[] } {
  const counts = new Map<string, { -readonly [K in keyof Sample]: Sample[K] }>();
  let head: { comm: string; pid: number } | undefined;
  let stack: Frame[] = [];
  const flush = (): void => {
    const top = stack[0];
    if (head && top) {
      const where = whereIs(top);
      const who = whoRan(head, where, stack, weft);
      const call = where === "kernel" ? callOf(stack) : "";
      const key = [who, where, top.symbol, call].join("\n");
      const found = counts.get(key);
      if (found) found.count++;
      else counts.set(key, { who, where, symbol: top.symbol, call, count: 1 });
    }
    head = undefined;
    stack = [];
  };
  return {
    line(text) {
      if (text === "") return flush();
      const frame = /^\s+[0-9a-f]+ (.*) \((.*)\)$/.exec(text);
      if (frame && head) {
        stack.push({ symbol: (frame[1] ?? "").replace(/\+0x[0-9a-f]+$/, ""), object: frame[2] ?? "" });
        return;
      }
      const first = /^\s*(.+?)\s+(-?\d+)\/(-?\d+)\s*$/.exec(text);
      if (first) {
        flush();
        head = { comm: first[1] ?? "", pid: Number(first[2]) };
      }
    },
    end() {
      flush();
      return [...counts.values()];
    },
  };
}
