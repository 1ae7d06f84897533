#!/usr/bin/env node
/** The one binary: `meshlift api | worker | check`. Each process is loaded only when it is asked for. */
const processes: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  async api() {
    const { runApi } = await import('./api/server.ts');
    await runApi(process.env);
  },
  async worker() {
    const { runWorker } = await import('./worker/main.ts');
    await runWorker(process.env);
  },
  async check(args) {
    const { runCheck } = await import('./cli/check.ts');
    process.exitCode = await runCheck(args, process.env);
  },
};

const [name = '', ...rest] = process.argv.slice(2);
const run = processes[name];

if (run === undefined || (rest.length > 0 && name !== 'check')) {
  process.stderr.write(
    'usage: meshlift api | worker | check --help\n  Configured by their environment; see docs/operating.md.\n',
  );
  process.exitCode = 2;
} else {
  try {
    await run(rest);
  } catch (error) {
    const isOperatorFault = error instanceof Error && error.name === 'ConfigError';
    process.stderr.write(
      `meshlift ${name}: ${isOperatorFault ? error.message : String((error as Error).stack ?? error)}\n`,
    );
    process.exitCode = 1;
  }
}
