/** The command line that runs on a machine: one script for sh, its arguments quoted in this one place. */
import { readFileSync } from 'node:fs';

/** Arguments are passed to a login shell, which removes exactly one layer of quotes. */
export function quote(argument: string): string {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

export function readScript(name: string): string {
  return readFileSync(new URL(`host-scripts/${name}.sh`, import.meta.url), 'utf8');
}

const inspectScript = ['common', 'inspect'];
const applyScript = ['common', 'journal', 'changes', 'package', 'proxy', 'apply'];

/** The script is the command itself, since a shell that reads it from standard input would swallow the payload behind it. */
export function hostCommand(user: string, verb: 'inspect' | 'apply', args: readonly string[]): string {
  const script = (verb === 'inspect' ? inspectScript : applyScript).map(readScript).join('\n');
  const words = ['sh', '-c', `${script}\n${verb} "$@"`, 'meshlift', ...args];
  return (user === 'root' ? words : ['sudo', '-n', ...words]).map(quote).join(' ');
}
