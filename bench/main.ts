/**
 * Measures what the design promises, as ratios within one run: `npm run bench -- onboarding|api|cutover [--json] [--rounds N]`, with
 * `--machines N` of onboarding and `--windows N` of cutover. Progress and the readable report go to standard error; with `--json` the
 * last line of standard output is the report. Ends with 1 where a ratio misses its target, and fails where a control does not fail.
 */
import { readWords, refuseWords } from '../demo/read-words.ts';
import { measureApi } from './api/index.ts';
import { measureCutover } from './cutover/index.ts';
import { measureOnboarding } from './onboarding/index.ts';
import { type BenchReport, isMet, renderReport } from './report.ts';

const benches: Readonly<Record<string, (asked: Asked) => Promise<BenchReport>>> = {
  onboarding: async ({ machines, rounds }) => await measureOnboarding(machines, rounds ?? 5),
  api: async ({ rounds }) => await measureApi(rounds ?? 12),
  cutover: async ({ rounds, windows }) => await measureCutover(rounds ?? 3, windows),
};

interface Asked {
  readonly rounds: number | undefined;
  readonly windows: number;
  readonly machines: number;
}

const usage = `npm run bench -- ${Object.keys(benches).join(' | ')} [--json] [--rounds N] [--machines N] [--windows N]`;

function countOf(option: string, text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  return refuseWords(`--${option} takes a whole number from 1 on, not "${text}"`, usage);
}

const { values, positionals } = readWords(
  {
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      windows: { type: 'string', default: '6' },
      machines: { type: 'string', default: '50' },
    },
  },
  usage,
);
const [name = '', ...rest] = positionals;
const bench = benches[name];
if (bench === undefined || rest.length > 0) refuseWords(`There is no benchmark "${positionals.join(' ')}"`, usage);
const report = await bench({
  rounds: values.rounds === undefined ? undefined : countOf('rounds', values.rounds),
  windows: countOf('windows', values.windows),
  machines: countOf('machines', values.machines),
});
process.stderr.write(`\n${renderReport(report)}\n`);
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(report.ratios.every(isMet) ? 0 : 1);
