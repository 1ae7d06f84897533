/**
 * Runs the suite: `node test/run.ts [pure] [jest arguments]`. Without `pure` the sandbox comes up first, shared by every
 * test of the run, and goes down after it, unless it was up before. The last line is `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

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

function runPlatform(args: readonly string[]): ReturnType<typeof runJest> {
  const wasUp = sandbox('status') === 0;
  if (!wasUp && sandbox('up') !== 0) return { status: 1, report: undefined };
  try {
    return runJest(['--runInBand', ...args]);
  } finally {
    if (!wasUp) sandbox('down');
  }
}

const [layer, ...rest] = process.argv.slice(2);
const { status, report } =
  layer === 'pure' ? runJest(['--selectProjects', 'pure', ...rest]) : runPlatform(process.argv.slice(2));
const passed = report?.numPassedTests ?? 0;
const failed = (report?.numFailedTests ?? 0) + (report?.numRuntimeErrorTestSuites ?? 0);
const unaccounted = status !== 0 && failed === 0 ? 1 : 0;
process.stdout.write(`${passed} passed, ${failed + unaccounted} failed\n`);
process.exitCode = status;
