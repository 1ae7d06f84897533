/** The sandbox's command: a real platform on this machine, for the demo, the tests, and anyone who wants to look. */
import { preflight, rootNeeded } from '../build/preflight.mjs';
import { parseCommand } from './command-line.ts';
import { down } from './down.ts';
import { environment } from './environment.ts';
import { type Patience, withLock } from './lock.ts';
import {
  addMachines,
  powerOffMachine,
  powerOnMachine,
  rebootMachine,
  reimageMachine,
  removeMachine,
} from './machines/index.ts';
import { say, step } from './progress.ts';
import { status } from './status.ts';
import { up } from './up.ts';

/** How long a verb waits for another one to end before it refuses. Two that want to build one sandbox need a person. */
const patience: Record<'up' | 'down' | 'machine', Patience> = {
  up: (holder) => (holder === 'up' || holder === 'down' ? 0 : 120_000),
  down: () => 60_000,
  machine: () => 120_000,
};

const ofOneMachine = {
  'machine remove': removeMachine,
  'machine reboot': rebootMachine,
  'machine power-off': powerOffMachine,
  'machine power-on': powerOnMachine,
  'machine reimage': reimageMachine,
};

async function main(): Promise<void> {
  const command = parseCommand(process.argv.slice(2));
  switch (command.verb) {
    case 'up':
      preflight();
      await withLock('up', patience.up, up);
      return;
    case 'down':
      requireRoot();
      await withLock('down', patience.down, async () => {
        if (!(await down())) say('there is no sandbox on this machine');
      });
      return;
    case 'status':
      showStatus();
      return;
    case 'env':
      print(await environment());
      return;
    case 'machine add': {
      const { verb, names, ...wanted } = command;
      await changeMachines(verb, names, async () => {
        await addMachines(names.map((name) => ({ name, ...wanted })));
      });
      return;
    }
    case 'machine remove':
    case 'machine reboot':
    case 'machine power-off':
    case 'machine power-on':
    case 'machine reimage': {
      const { verb, names } = command;
      await changeMachines(verb, names, async () => {
        await Promise.all(names.map(ofOneMachine[verb]));
      });
      return;
    }
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

async function changeMachines(verb: string, names: readonly string[], work: () => Promise<void>): Promise<void> {
  requireRoot();
  await withLock(verb, patience.machine, async () => {
    await step(`${verb} ${names.join(' ')}`, work);
  });
}

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
