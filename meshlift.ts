#!/usr/bin/env node
/** The one binary: `meshlift api | worker`. Each process is loaded only when it is asked for. */
const processes: Readonly<Record<string, () => Promise<void>>> = {
  async api() {
    const { runApi } = await import('./api/server.ts');
    await runApi(process.env);
  },
  async worker() {
    const { runWorker } = await import('./worker/main.ts');
    await runWorker(process.env);
  },
};

const [name = '', ...rest] = process.argv.slice(2);
const run = processes[name];

if (run === undefined || rest.length > 0) {
  process.stderr.write(
    'usage: meshlift api | worker\n  Both are configured by their environment; see docs/operating.md.\n',
  );
  process.exitCode = 2;
} else {
  try {
    await run();
  } catch (error) {
    const isOperatorFault = error instanceof Error && error.name === 'ConfigError';
    process.stderr.write(
      `meshlift ${name}: ${isOperatorFault ? error.message : String((error as Error).stack ?? error)}\n`,
    );
    process.exitCode = 1;
  }
}
