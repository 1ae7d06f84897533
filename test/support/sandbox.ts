/** Ways into the shared sandbox that only tests need: a machine's own shell, and kubectl. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { addMachine, type App, sandboxEnv, type SandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';

const execute = promisify(execFile);

/** Differs from run to run, so that what an earlier run left behind in a sandbox that stays up is nobody's business. */
const run = Date.now().toString(36).slice(-5);

/** A machine that only this run of the suite knows: `<name>-<run>`. */
export const freshMachine = async (
  name: string,
  namespace: string,
  network: 'direct' | 'gateway' | 'inner' = 'direct',
  apps: readonly App[] = ['http'],
): Promise<SandboxMachine> => await addMachine(`${name}-${run}`, namespace, network, apps);

/** A command on the machine, as its login user with sudo, over the sandbox's own way in. */
export async function onMachine(machine: SandboxMachine, command: string): Promise<string> {
  const env = await sandboxEnv();
  const { stdout } = await execute(
    'ssh',
    [...sshOptions(env), ...throughJump(env, machine), `ops@${machine.address}`, `sudo -n sh -c ${quote(command)}`],
    { maxBuffer: 64 * 1024 * 1024 },
  );
  return stdout;
}

const sshOptions = (env: SandboxEnv): string[] => [
  ...['-i', env.sshKey, '-o', `UserKnownHostsFile=${env.knownHosts}`],
  ...['-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR'],
];

const throughJump = (env: SandboxEnv, { jump }: SandboxMachine): string[] =>
  jump === undefined
    ? []
    : ['-o', `ProxyCommand=ssh ${sshOptions(env).join(' ')} -W %h:%p ${jump.user}@${jump.address}`];

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Runs a tool of the sandbox (kubectl, istioctl, temporal) with the sandbox's own environment. */
export async function command(tool: string, ...args: string[]): Promise<string> {
  const env = await sandboxEnv();
  const { stdout } = await execute(tool, args, {
    env: { ...process.env, ...env.exports },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

/** kubectl, its JSON output parsed. */
export async function kubectl<T>(...args: string[]): Promise<T> {
  return JSON.parse(await command('kubectl', ...args, '-o', 'json')) as T;
}
