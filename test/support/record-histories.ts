/**
 * Saves histories of workflows for the replay test: `node test/support/record-histories.ts <name>=<workflow id>...` with
 * Temporal's environment set and its command line on the PATH. Each goes to test/replay/histories/<name>.json.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '..', 'replay', 'histories');

const wanted = process.argv.slice(2).map((argument) => argument.split('='));
if (wanted.length === 0 || wanted.some(([name, id]) => !name || !id)) {
  throw new Error('usage: record-histories.ts <name>=<workflow id>...');
}
mkdirSync(folder, { recursive: true });
for (const [name = '', workflowId = ''] of wanted) {
  const shown = execFileSync('temporal', ['workflow', 'show', '--output', 'json', '--workflow-id', workflowId], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const file = join(folder, `${name}.json`);
  writeFileSync(file, withoutOrigin(shown));
  process.stdout.write(`${workflowId} -> ${file}\n`);
}

/** Without stack traces and identities: who recorded it, and where, is of no use here. */
function withoutOrigin(history: string): string {
  const blank: Readonly<Record<string, string>> = { stackTrace: '', identity: 'recorder' };
  const parsed: unknown = JSON.parse(history, (key, value: unknown) => blank[key] ?? value);
  return `${JSON.stringify(parsed)}\n`;
}
