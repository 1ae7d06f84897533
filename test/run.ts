/**
 * Runs the suite: `node test/run.ts [pure | alone | lifecycle | matrix] [jest arguments]`. For the platform's layer the sandbox comes
 * up first, shared by every test of the run, and goes down after it, unless it was up before. What counts lost requests or kills
 * workers everywhere runs before the rest, alone; what was granted is compared with what all of them used; the tests of up and down
 * themselves come last. The matrix, which takes long, is no part of the suite. The last line is `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
/** Tests start hundreds of processes of the product and the sandbox: what Node compiles of them is kept, which halves what a start takes. */
process.env['NODE_COMPILE_CACHE'] ??= join(root, 'node_modules', '.cache', 'compiled');

interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  /** Files that failed before their first test. */
  readonly numRuntimeErrorTestSuites: number;
}

const sandbox = (...verb: string[]): number =>
  spawnSync(process.execPath, [join(root, 'sandbox', 'main.ts'), ...verb], { cwd: root, stdio: ['ignore', 2, 2] })
    .status ?? 1;

/** Jest in a process of its own, because ES modules need a flag of the runtime. */
function runJest(args: readonly string[]): { status: number; report: JestReport | undefined } {
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-test-'));
  try {
    const outputFile = join(scratch, 'report.json');
    const jest = spawnSync(
      process.execPath,
      [
        '--experimental-vm-modules',
        '--disable-warning=ExperimentalWarning',
        join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
        '--json',
        '--outputFile',
        outputFile,
        ...args,
      ],
      { cwd: root, stdio: ['ignore', 'ignore', 2] },
    );
    const written = jest.error === undefined ? readFileSync(outputFile, 'utf8') : undefined;
    return {
      status: jest.status ?? 1,
      report: written === undefined ? undefined : (JSON.parse(written) as JestReport),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

type Ran = ReturnType<typeof runJest>;

/** Against the sandbox that is up, or one that is brought up for this run. */
function runWithSandbox(wasUp: boolean, ...runs: readonly (readonly string[])[]): Ran[] {
  if (!wasUp && sandbox('up') !== 0) return [{ status: 1, report: undefined }];
  try {
    return runs.map(runJest);
  } finally {
    if (!wasUp) sandbox('down');
  }
}

/** The pure layer and the platform's. */
const platform = (args: readonly string[]): string[] => [
  ...['--maxWorkers', '2'],
  ...args,
  ...['--selectProjects', 'pure', 'platform'],
];

/** Once everything has run: it compares what was granted with what was used. */
const audit = ['--runInBand', '--selectProjects', 'audit'];

/** One file after another: each takes the whole computer. */
const alone = (project: 'alone' | 'matrix', args: readonly string[] = []): string[] => [
  ...['--runInBand', ...args],
  ...['--selectProjects', project],
];

const runLifecycle = (args: readonly string[]): Ran =>
  runJest(['--runInBand', ...args, '--selectProjects', 'lifecycle']);

function runAll(): Ran[] {
  const wasUp = sandbox('status') === 0;
  const ran = runWithSandbox(wasUp, alone('alone'), platform([]), audit);
  if (!wasUp) return [...ran, runLifecycle([])];
  process.stderr.write(
    'The sandbox was up before and stays up: the tests of up and down (npm test -- lifecycle) did not run\n',
  );
  return ran;
}

function run([layer, ...rest]: readonly string[]): Ran[] {
  switch (layer) {
    case undefined:
      return runAll();
    case 'pure':
      return [runJest([...rest, '--selectProjects', 'pure'])];
    case 'lifecycle':
      return [runLifecycle(rest)];
    case 'alone':
    case 'matrix':
      return runWithSandbox(sandbox('status') === 0, alone(layer, rest));
    default:
      return runWithSandbox(sandbox('status') === 0, platform([layer, ...rest]));
  }
}

let passed = 0;
let failed = 0;
for (const { status, report } of run(process.argv.slice(2))) {
  const failures = (report?.numFailedTests ?? 0) + (report?.numRuntimeErrorTestSuites ?? 0);
  passed += report?.numPassedTests ?? 0;
  // A run that ends badly without a failed test, e.g. one that never came up, counts as one.
  failed += status !== 0 && failures === 0 ? 1 : failures;
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
