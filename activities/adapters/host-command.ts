/** The command line that runs on a machine: one script for sh, its arguments quoted in this one place. */
import { readFileSync } from 'node:fs';

/** Arguments are passed to a login shell, which removes exactly one layer of quotes. */
export function quote(argument: string): string {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

const read = new Map<string, string>();

export function readScript(name: string): string {
  const text = read.get(name) ?? readFileSync(new URL(`host-scripts/${name}.sh`, import.meta.url), 'utf8');
  read.set(name, text);
  return text;
}

const inspectScript = ['common', 'network', 'policy', 'inspect'];
const applyScript = ['common', 'journal', 'changes', 'package', 'proxy', 'enforce', 'drain', 'apply'];
/** Writes files and nothing else: each shell on the way reads the whole script, so what is not needed stays away. */
const writeScript = ['common', 'journal', 'changes', 'apply'];
const trafficScript = ['common', 'traffic'];
const metricsScript = ['common', 'metrics'];
const scripts = {
  inspect: { parts: inspectScript, calls: 'inspect' },
  apply: { parts: applyScript, calls: 'apply' },
  write: { parts: writeScript, calls: 'apply' },
  traffic: { parts: trafficScript, calls: 'traffic' },
  metrics: { parts: metricsScript, calls: 'metrics' },
} as const;

/** The script, without its comments, is the command itself, since a shell that reads it from standard input would swallow the payload behind it. */
export function hostCommand(user: string, verb: keyof typeof scripts, args: readonly string[]): string {
  const { parts, calls } = scripts[verb];
  const script = parts
    .map(readScript)
    .join('\n')
    .replaceAll(/^[ \t]*#.*\n/gm, '');
  const words = ['sh', '-c', `${script}\n${calls} "$@"`, 'meshlift', ...args];
  return (user === 'root' ? words : ['sudo', '-n', ...words]).map(quote).join(' ');
}
