/**
 * Measures what the design promises, as ratios within one run: `npm run bench -- onboarding|api|cutover [--json] [--rounds N]`, with
 * `--machines N` of onboarding and `--windows N` of cutover. Progress and the readable report go to standard error; with `--json` the
 * last line of standard output is the report. Ends with 1 where a ratio misses its target, and fails where a control does not fail.
 */
import { parseArgs } from 'node:util';

import { measureApi } from './api/index.ts';
import { measureCutover } from './cutover/index.ts';
import { measureOnboarding } from './onboarding/index.ts';
import { type BenchReport, isMet, renderReport } from './report.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    windows: { type: 'string', default: '6' },
    machines: { type: 'string', default: '50' },
  },
});

const benches: Readonly<Record<string, () => Promise<BenchReport>>> = {
  onboarding: async () => await measureOnboarding(Number(values.machines), Number(values.rounds ?? 5)),
  api: async () => await measureApi(Number(values.rounds ?? 12)),
  cutover: async () => await measureCutover(Number(values.rounds ?? 3), Number(values.windows)),
};

const [name = ''] = positionals;
const bench = benches[name];
if (bench === undefined) {
  const known = Object.keys(benches).join(' | ');
  process.stderr.write(`usage: npm run bench -- ${known} [--json] [--rounds N] [--machines N] [--windows N]\n`);
  process.exit(2);
}
const report = await bench();
process.stderr.write(`\n${renderReport(report)}\n`);
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(report.ratios.every(isMet) ? 0 : 1);
