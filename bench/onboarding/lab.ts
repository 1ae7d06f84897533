/**
 * Runs inside namespaces of its own, with loopback and nothing else: starts the machines, lets every tool onboard them in turn, and
 * prints what it measured as one line of JSON. Arguments: parts as JSON, a scratch folder, four groups (machines, tools, worker,
 * server), how many machines, rounds, and rounds of the slow tools.
 */
import { execFileSync } from 'node:child_process';

import { type Form, type Playbooks, runAnsible, type Strategy, writePlaybooks } from './ansible.ts';
import { pushBare } from './bare.ts';
import { type Group, openGroup } from './cgroup.ts';
import { type BenchMachine, type Fleet, type Lab, makeLab, startFleet } from './fleet.ts';
import type { Parts } from './parts.ts';
import { faultsOf, readIds, tarOf } from './payload.ts';
import { type Prepared, startProduct } from './product.ts';

/** One run of one tool over all machines. */
export interface Run {
  readonly tool: string;
  readonly seconds: number;
  /** Processor time of the tool and of the machines together. */
  readonly cpuSeconds: number;
  readonly machineCpuSeconds: number;
  /** Of Temporal's server alone. */
  readonly serverCpuSeconds: number;
  /** Files that were not as wanted after it. */
  readonly faults: readonly string[];
}

interface Ready {
  readonly fleet: Fleet;
  readonly prepared: readonly Prepared[];
  readonly tars: ReadonlyMap<string, Buffer>;
  readonly playbooks: Playbooks;
}

const [partsText = '{}', scratch = '', groupNames = '', size = '50', rounds = '3', slowRounds = '1'] =
  process.argv.slice(2);
const parts = JSON.parse(partsText) as Parts;
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

execFileSync('ip', ['link', 'set', 'lo', 'up']);
const groups = groupNames.split(' ').map(openGroup);
const [machinesGroup, toolsGroup, workerGroup, serverGroup] = groups as [Group, Group, Group, Group];
const lab = makeLab(scratch, parts.root, Number(size), machinesGroup);
const ids = readIds(parts.root);
const product = await startProduct(lab, parts, { server: serverGroup.path, worker: workerGroup.path });

const tools: Readonly<Record<string, (ready: Ready, lab: Lab) => Promise<void>>> = {
  bare: async ({ fleet, tars }) => {
    await pushBare(fleet.machines, lab.loginKey, ({ name }) => tars.get(name) ?? Buffer.alloc(0));
  },
  // The control: a push that leaves the token away has to be found out.
  control: async ({ fleet, prepared }) => {
    const tars = await tarsOf(fleet.machines, prepared, true, (path) => !path.endsWith('/istio-token'));
    await pushBare(fleet.machines, lab.loginKey, ({ name }) => tars.get(name) ?? Buffer.alloc(0));
  },
  product: async ({ prepared }) => {
    await product.onboard(prepared, false);
  },
  productWithFacts: async ({ prepared }) => {
    await product.onboard(prepared, true);
  },
  ansibleTasks: ansible('tasks', 'linear'),
  ansibleUnarchive: ansible('unarchive', 'linear'),
  mitogenTasks: ansible('tasks', 'mitogen_linear'),
  mitogenUnarchive: ansible('unarchive', 'mitogen_linear'),
};

function ansible(form: Form, strategy: Strategy) {
  return async ({ playbooks }: Ready): Promise<void> => {
    await runAnsible(playbooks, lab, form, strategy, toolsGroup.path);
  };
}

async function tarsOf(
  machines: readonly BenchMachine[],
  prepared: readonly Prepared[],
  withHosts: boolean,
  keeps: (path: string) => boolean = () => true,
): Promise<ReadonlyMap<string, Buffer>> {
  const pairs = machines.map(async (machine, index) => {
    const { files = [], hostsLines = [] } = prepared[index]?.payload ?? {};
    const kept = { files: files.filter(({ path }) => keeps(path)), hostsLines };
    return [machine.name, await tarOf(machine, kept, ids, withHosts)] as const;
  });
  return new Map(await Promise.all(pairs));
}

/** Machines made anew, and for each tool what it has at hand before its time begins. */
async function makeReady(): Promise<Ready> {
  const fleet = await startFleet(lab);
  const prepared = await Promise.all(fleet.machines.map(async (machine) => await product.prepare(machine)));
  const archives = await tarsOf(fleet.machines, prepared, false);
  const playbooks = writePlaybooks(
    lab,
    parts,
    fleet.machines.map((machine, index) => ({
      ...machine,
      payload: prepared[index]?.payload ?? { files: [], hostsLines: [] },
      archive: archives.get(machine.name) ?? Buffer.alloc(0),
    })),
  );
  return { fleet, prepared, tars: await tarsOf(fleet.machines, prepared, true), playbooks };
}

const ownCpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function measure(tool: string): Promise<Run> {
  const ready = await makeReady();
  const cpuOf = (): number => toolsGroup.cpuSeconds() + workerGroup.cpuSeconds() + ownCpuSeconds();
  const before = {
    cpu: cpuOf(),
    machines: machinesGroup.cpuSeconds(),
    server: serverGroup.cpuSeconds(),
    at: performance.now(),
  };
  await tools[tool]?.(ready, lab);
  const seconds = (performance.now() - before.at) / 1000;
  const machineCpuSeconds = machinesGroup.cpuSeconds() - before.machines;
  const serverCpuSeconds = serverGroup.cpuSeconds() - before.server;
  const cpuSeconds = cpuOf() - before.cpu + machineCpuSeconds + serverCpuSeconds;
  const faults = ready.fleet.machines.flatMap((machine, index) =>
    faultsOf(machine, ready.prepared[index]?.payload ?? { files: [], hostsLines: [] }, ids),
  );
  await ready.fleet.stop();
  const cpu = `${cpuSeconds.toFixed(2)} s of processor, ${machineCpuSeconds.toFixed(2)} s on the machines, ${serverCpuSeconds.toFixed(2)} s in Temporal`;
  say(`${tool}: ${seconds.toFixed(2)} s, ${cpu}, ${faults.length} faults`);
  return { tool, seconds, cpuSeconds, machineCpuSeconds, serverCpuSeconds, faults };
}

const WARM_UPS = 3;
const quick = ['bare', 'product', 'productWithFacts'];
const slow = ['ansibleTasks', 'ansibleUnarchive', 'mitogenTasks', 'mitogenUnarchive'];
const runs: Run[] = [await measure('control')];
// Rounds that do not count: disk caches fill, and the worker's code is compiled, as in one that has run for a while.
for (let round = 0; round < WARM_UPS; round++) for (const tool of quick) await measure(tool);
for (let round = 0; round < Number(rounds); round++) {
  for (const tool of quick) runs.push(await measure(tool));
  if (round < Number(slowRounds)) for (const tool of slow) runs.push(await measure(tool));
}
process.stdout.write(`${JSON.stringify(runs)}\n`);
process.exit(0);
