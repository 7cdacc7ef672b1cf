/** Milliseconds since 1970 as 2026-01-31 12:00:00Z. */
export function when(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}Z`;
}
