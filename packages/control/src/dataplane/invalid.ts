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
    const text = found === undefined ? "nothing" : typeof found === "string" ? found : JSON.stringify(found);
    this.list.push({ key, found: String(text).slice(0, 200), allowed });
  }

  throwIfAny(): void {
    if (this.list.length > 0) throw new InvalidInput(this.#subject, this.list);
  }
}
