/** Onboarding many machines' files by Meshlift's own path, beside a bare ssh2 loop, Ansible and Mitogen; then real machines to InMesh. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { type BenchReport, host } from '../report.ts';
import { median } from '../statistics.ts';
import { makeGroups, removeGroups } from './cgroup.ts';
import { measureInMesh } from './in-mesh.ts';
import type { Run } from './lab.ts';
import { ensureParts, versions } from './parts.ts';

/** Rounds of the tools that take a minute each; a round of the others takes seconds. */
const SLOW_ROUNDS = 3;

export async function measureOnboarding(machines: number, rounds: number): Promise<BenchReport> {
  const runs = await runLab(machines, rounds, Math.min(rounds, SLOW_ROUNDS));
  const control = runs.find(({ tool }) => tool === 'control');
  if (control === undefined || control.faults.length < machines) {
    throw new Error('The control leaves the token away on every machine, and the check did not find it');
  }
  const faults = runs.filter(({ tool }) => tool !== 'control').flatMap((run) => run.faults);
  if (faults.length > 0) throw new Error(`Files were not in place: ${faults.slice(0, 3).join('; ')}`);
  const of = (tool: string, field: 'seconds' | 'cpuSeconds' | 'machineCpuSeconds' | 'serverCpuSeconds'): number =>
    median(runs.filter((run) => run.tool === tool).map((run) => run[field]));
  const time = of('product', 'seconds');
  const mitogen = Math.min(of('mitogenTasks', 'seconds'), of('mitogenUnarchive', 'seconds'));
  const tools = [...new Set(runs.map(({ tool }) => tool))].filter((tool) => tool !== 'control');
  return {
    bench: 'onboarding',
    ratios: [
      { name: 'time/bare-ssh2', value: time / of('bare', 'seconds'), target: 4, better: 'lower' },
      { name: 'ansible-tasks/time', value: of('ansibleTasks', 'seconds') / time, target: 30, better: 'higher' },
      { name: 'ansible-unarchive/time', value: of('ansibleUnarchive', 'seconds') / time, target: 8, better: 'higher' },
      { name: 'mitogen/time', value: mitogen / time, target: 2, better: 'higher' },
      {
        name: 'cpu/ansible-tasks',
        value: of('product', 'cpuSeconds') / of('ansibleTasks', 'cpuSeconds'),
        target: 0.05,
        better: 'lower',
      },
    ],
    figures: {
      ...Object.fromEntries(
        tools.map((tool) => [
          tool,
          {
            seconds: round(of(tool, 'seconds')),
            cpuSeconds: round(of(tool, 'cpuSeconds')),
            machineCpuSeconds: round(of(tool, 'machineCpuSeconds')),
            ...(tool.startsWith('product') ? { temporalCpuSeconds: round(of(tool, 'serverCpuSeconds')) } : {}),
          },
        ]),
      ),
      control: `${control.faults.length} missing files found of a push that leaves the token away`,
      postToInMesh: await measureInMesh(),
    },
    conditions: {
      ...host(),
      ...versions,
      machines,
      rounds,
      note: 'medians of alternating runs, machines made anew for each; processor time of tool and machines together; Meshlift runs as a service, the others start anew as command lines do; files and token, with /etc/hosts, checked from outside after each run',
    },
  };
}

const round = (seconds: number): number => Math.round(seconds * 100) / 100;

/** The lab has a network with loopback alone, mounts and processes of its own, so that all of it ends with its first process. */
async function runLab(machines: number, rounds: number, slowRounds: number): Promise<readonly Run[]> {
  const parts = await ensureParts();
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-bench-'));
  const groups = makeGroups(['machines', 'tools', 'worker', 'server']);
  try {
    const own = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const sizes = [machines, rounds, slowRounds].map(String);
    const lab = [join(import.meta.dirname, 'lab.ts'), JSON.stringify(parts), scratch, groups.join(' '), ...sizes];
    const child = spawn('unshare', [...own, process.execPath, ...lab], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit') as Promise<[number | null]>;
    const [output, [code]] = await Promise.all([text(child.stdout), ended]);
    if (code !== 0) throw new Error(`The lab ended with ${code ?? 'a signal'}; its last lines above say why`);
    return JSON.parse(output.trim().split('\n').at(-1) ?? '[]') as readonly Run[];
  } finally {
    await removeGroups(groups);
    rmSync(scratch, { recursive: true, force: true });
  }
}
