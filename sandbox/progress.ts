/** Tells on standard error what is being done and for how long: a line at the start, one now and then, one at the end. */
const began = Date.now();
const stillEveryMs = 15_000;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)}s`;

/** One line, with the time since the command began. */
export function say(line: string): void {
  process.stderr.write(`${`[${seconds(Date.now() - began)}]`.padEnd(9)} ${line}\n`);
}

/** Runs `work` and shows how long it takes; what it throws passes through unchanged. */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = Date.now();
  const elapsed = (): string => seconds(Date.now() - started);
  say(`${name} ...`);
  const still = setInterval(() => {
    say(`${name} ... still at it after ${elapsed()}`);
  }, stillEveryMs);
  try {
    const result = await work();
    say(`${name}: done in ${elapsed()}`);
    return result;
  } catch (error) {
    say(`${name}: failed after ${elapsed()}`);
    throw error;
  } finally {
    clearInterval(still);
  }
}
