/** One thing that is wrong with an input. */
export interface Problem {
  /** Path of the value, as `vteps[1]`. */
  readonly key: string;
  /** What was found there. */
  readonly found: string;
  /** What would have been right. */
  readonly allowed: string;
}

/** An input that was refused before anything was changed. Lists every problem at once. */
export class InvalidInput extends Error {
  readonly code = "INVALID_INPUT";
  readonly problems: readonly Problem[];

  constructor(subject: string, problems: readonly Problem[]) {
    super(`${subject}: ${problems.map((p) => `${p.key}: found ${p.found}, allowed: ${p.allowed}`).join("; ")}`);
    this.name = "InvalidInput";
    this.problems = problems;
  }
}

/** Collects problems, then throws them together. */
export class Problems {
  readonly #subject: string;
  readonly list: Problem[] = [];

  constructor(subject: string) {
    this.#subject = subject;
  }

  add(key: string, found: unknown, allowed: string): void {
    this.list.push({ key, found: textOf(found).slice(0, 200), allowed });
  }

  /**
   * Looks at the keys of an input from plain JavaScript: unknown ones are problems, and so are lists that are none.
   *
   * @returns the input without the keys that have the wrong shape, so that the rest can be checked as usual.
   */
  shape<T extends object>(given: T, keys: Readonly<Record<keyof T, "list" | "object" | "value">>): T {
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      this.add("(all)", given, `an object with the keys ${Object.keys(keys).join(", ")}`);
      return {} as T;
    }
    const fits = (value: unknown, kind: string | undefined): boolean =>
      value === undefined ||
      kind === "value" ||
      (kind === "list" ? Array.isArray(value) : typeof value === "object" && value !== null && !Array.isArray(value));
    const kinds = keys as Record<string, string>;
    const kept = Object.entries(given).filter(([key, value]) => {
      const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
      if (kind === undefined) this.add(key, value, `one of the keys ${Object.keys(kinds).join(", ")}`);
      else if (fits(value, kind)) return true;
      else this.add(key, value, kind === "list" ? "a list" : "an object");
      return false;
    });
    return Object.fromEntries(kept) as T;
  }

  throwIfAny(): void {
    if (this.list.length > 0) throw new InvalidInput(this.#subject, this.list);
  }
}

function textOf(found: unknown): string {
  if (found === undefined) return "nothing";
  if (typeof found === "string") return found;
  try {
    return String(JSON.stringify(found));
  } catch {
    // A bigint, or an object that contains itself.
    return typeof found === "bigint" ? String(found) : "something that JSON has no text for";
  }
}
