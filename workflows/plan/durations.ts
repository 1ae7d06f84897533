/** Durations as requests write them: one number and one unit. */

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds of `30s`, `10m` or `2h`; the schema has refused everything else. */
export function durationMs(text: string): number {
  const unit = text.at(-1) as keyof typeof unitMs;
  return Number(text.slice(0, -1)) * unitMs[unit];
}
