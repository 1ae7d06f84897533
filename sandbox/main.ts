/** The sandbox's command: a real platform on this machine, for the demo, the tests, and anyone who wants to look. */
import { parseArgs } from 'node:util';

import { preflight, rootNeeded } from '../build/preflight.mjs';
import { down } from './down.ts';
import { environment } from './environment.ts';
import { machineNetworks, type MachineNetwork } from './layout.ts';
import { withLock } from './lock.ts';
import { addMachine, rebootMachine, removeMachine } from './machines/index.ts';
import { say, step } from './progress.ts';
import { status } from './status.ts';
import { up } from './up.ts';

const usage = `Usage: npm run sandbox -- <verb>
  up                              bring the platform up (first time: about 20 minutes of building)
  down                            take it away; only the cache of built parts stays
  status                          what runs, and where its logs are
  env                             export lines for a shell: eval "$(npm run -s sandbox -- env)"
  machine add <name>... [--namespace <ns>] [--network direct|gateway]
  machine remove|reboot <name>...`;

/** How long a verb waits for another one to end before it refuses. */
const patienceMs = { up: 0, down: 60_000, machine: 120_000 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { namespace: { type: 'string', default: 'shop' }, network: { type: 'string', default: 'direct' } },
});

async function main(): Promise<void> {
  const [verb = '', ...rest] = positionals;
  switch (verb) {
    case 'up':
      preflight();
      await withLock('up', patienceMs.up, up);
      return;
    case 'down':
      requireRoot();
      await withLock('down', patienceMs.down, async () => {
        if (!(await down())) say('there is no sandbox on this machine');
      });
      return;
    case 'status':
      showStatus();
      return;
    case 'env':
      print(await environment());
      return;
    case 'machine':
      await machine(rest);
      return;
    default:
      throw new Error(usage);
  }
}

/** Exits with 0 only where the sandbox is ready and all of it runs. */
function showStatus(): void {
  const found = status();
  print(found?.lines ?? ['there is no sandbox on this machine']);
  if (found?.isReady !== true) process.exitCode = 1;
}

/** For the verbs that change a sandbox which stands already. */
function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new Error(rootNeeded);
}

async function machine([verb, ...names]: readonly string[]): Promise<void> {
  const work = machineVerb(verb);
  if (work === undefined || names.length === 0) throw new Error(usage);
  requireRoot();
  await withLock(`machine ${verb}`, patienceMs.machine, async () => {
    await Promise.all(names.map(async (name) => await step(`machine ${verb} ${name}`, async () => await work(name))));
  });
}

function machineVerb(verb: string | undefined): ((name: string) => Promise<unknown>) | undefined {
  const { namespace, network } = values;
  if (!isNetwork(network))
    throw new Error(`Unknown network ${network}; use one of ${Object.keys(machineNetworks).join(', ')}`);
  if (verb === 'add') return async (name) => await addMachine({ name, namespace, network });
  if (verb === 'remove') return removeMachine;
  if (verb === 'reboot') return rebootMachine;
  return undefined;
}

const isNetwork = (name: string): name is MachineNetwork => name in machineNetworks;

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

function explain(error: unknown): string {
  if (error instanceof AggregateError) return [error.message, ...error.errors.map(explain)].join('\n  ');
  return error instanceof Error ? error.message : String(error);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  // What else was being started is not waited for.
  process.exit(1);
}
