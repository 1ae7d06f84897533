/**
 * Schemathesis against the API over the real Temporal, by the API's own OpenAPI document. The worker runs workflows and reads the
 * cluster; what would touch a host refuses at once, so that no made-up address is ever looked up or called.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { failure } from '../../activities/failures.ts';
import { hostActivities } from '../../activities/host.ts';
import type { Activities } from '../../activities/index.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { readWorkerConfig } from '../../worker/config.ts';
import { createPorts } from '../../worker/ports.ts';
import { listeningApi } from './listening-api.ts';
import { seed } from './seed.ts';
import { startTestWorker } from './test-worker.ts';

const execute = promisify(execFile);
const requirements = join(import.meta.dirname, 'schemathesis.txt');

/**
 * Without the checks that do not hold here: a method that a path does not have is 404, a valid request may be refused, and
 * authentication, which the document speaks of, is off.
 */
const EXCLUDED_CHECKS = 'unsupported_method,positive_data_acceptance,ignored_auth';
/** A machine that is too busy to answer in time says so; how often is judged by the caller. What is too large is refused as such. */
const SETTINGS = [
  '[checks]',
  'not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503, 504]',
  'negative_data_rejection.expected-statuses = ["4xx", "5xx"]',
  '',
].join('\n');

/** Changes with the commit. */
export const changingSeed = createHash('sha256').update(seed).digest().readUInt16BE();

export interface Fuzzed {
  readonly cases: number;
  /** What Schemathesis says of answers that break the document, or of a fault inside; empty where none does. */
  readonly findings: string;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Whether Temporal stood all the time. */
  readonly isReady: boolean;
}

/** Cases of each call beside those that probe the limits of each field. */
export async function fuzz(
  phases: 'fuzzing' | 'coverage,fuzzing',
  casesPerCall: number,
  fuzzSeed: number,
): Promise<Fuzzed> {
  const tool = await schemathesis();
  const env = await sandboxEnv();
  const namespace = `fuzz-${randomBytes(4).toString('hex')}`;
  const worker = await startTestWorker(env, namespace, (activities) => touchingNoHost(activities, env.exports));
  const api = await listeningApi(env.temporalAddress, namespace, { MESHLIFT_RATE_LIMIT: '1000000' });
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-fuzz-'));
  try {
    const report = join(scratch, 'report.ndjson');
    writeFileSync(join(scratch, 'schemathesis.toml'), SETTINGS);
    const { stdout } = await execute(
      tool,
      [
        ...['--config-file', join(scratch, 'schemathesis.toml'), 'run', `${api.url}/openapi.json`],
        ...['--phases', phases, '--max-examples', String(casesPerCall), '--exclude-checks', EXCLUDED_CHECKS],
        ...['--seed', String(fuzzSeed), '--continue-on-failure'],
        ...[
          '--generation-with-security-parameters',
          'false',
          '--generation-database',
          'none',
          '--request-timeout',
          '30',
          '--no-color',
        ],
        ...['--report', 'ndjson', '--report-ndjson-path', report],
      ],
      { cwd: scratch, maxBuffer: 64 * 1024 * 1024 },
    ).catch((error: unknown) => error as { stdout: string });
    const ready = await fetch(`${api.url}/readyz`);
    return { ...readResult(stdout, readFileSync(report, 'utf8')), isReady: ready.status === 200 };
  } finally {
    await api.close();
    await worker.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

function readResult(said: string, report: string): Omit<Fuzzed, 'isReady'> {
  const cases = Number(/^\s+(\d+) generated/m.exec(said)?.[1] ?? 0);
  const findings = /^=+ (?:ERRORS|FAILURES) =+$[^]*/m.exec(said)?.[0] ?? '';
  const statuses: Record<string, number> = {};
  for (const [, status = ''] of report.matchAll(/"status_code":\s*(\d+)/g))
    statuses[status] = (statuses[status] ?? 0) + 1;
  return { cases, findings, statuses };
}

function touchingNoHost(activities: Activities, exports: Readonly<Record<string, string>>): Activities {
  const config = readWorkerConfig({ ...exports, TEMPORAL_NAMESPACE: 'any' });
  const names = Object.keys(hostActivities(createPorts(config)));
  const refuse = () => Promise.reject(failure('HostNotAllowed', 'No host is touched while the API is fuzzed'));
  return { ...activities, ...Object.fromEntries(names.map((name) => [name, refuse])) };
}

/** From PyPI, with every part at one version; built once per list of versions and kept beside the packages' cache. */
async function schemathesis(): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'meshlift');
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const home = join(cache, `schemathesis-${digest}`);
  const tool = join(home, 'bin', 'schemathesis');
  const isBuilt = join(home, 'built');
  if (existsSync(isBuilt)) return tool;
  rmSync(home, { recursive: true, force: true });
  await execute('python3', ['-m', 'venv', home]);
  await execute(join(home, 'bin', 'pip'), ['install', '--quiet', '--requirement', requirements]);
  writeFileSync(`${isBuilt}.part`, '');
  renameSync(`${isBuilt}.part`, isBuilt);
  return tool;
}
