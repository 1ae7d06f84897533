/** The same job for Ansible: one task a file, or the archive in one task; run by Ansible itself or by Mitogen's strategy. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { stringify } from 'yaml';

import { run } from '../../sandbox/exec.ts';
import type { BenchMachine, Lab } from './fleet.ts';
import { login, type Parts } from './parts.ts';
import { missingFolders, type Payload, type PlacedFile } from './payload.ts';

export type Form = 'tasks' | 'unarchive';
export type Strategy = 'linear' | 'mitogen_linear';

export interface Playbooks {
  readonly folder: string;
  readonly parts: Parts;
}

type Tasks = readonly Readonly<Record<string, unknown>>[];

/** Writes inventory, playbooks and each machine's files; none of it is timed. */
export function writePlaybooks(
  lab: Lab,
  parts: Parts,
  machines: readonly (BenchMachine & { readonly payload: Payload; readonly archive: Buffer })[],
): Playbooks {
  const folder = join(lab.scratch, 'ansible');
  const put = (name: string, content: string | Buffer): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  };
  const [first] = machines;
  if (first === undefined) throw new Error('Ansible needs a machine at least');
  for (const { name, payload, archive } of machines) {
    for (const { path, content } of payload.files) put(`files/${name}${path}`, content);
    put(`files/${name}/all.tar`, archive);
  }
  put('known_hosts', machines.map(({ knownHost }) => `${knownHost}\n`).join(''));
  put('inventory', machines.map(({ name, port }) => `${name} ansible_host=127.0.0.1 ansible_port=${port}\n`).join(''));
  put('tasks.yaml', playbook(eightTasks(first.payload)));
  put('unarchive.yaml', playbook([...unpack, hostsBlock(first.payload)]));
  return { folder, parts };
}

const playbook = (tasks: Tasks): string =>
  stringify([{ hosts: 'all', gather_facts: false, become: true, any_errors_fatal: true, tasks }]);

const copy = (
  file: PlacedFile | Pick<PlacedFile, 'mode' | 'owner'>,
  path: string,
): Readonly<Record<string, unknown>> => {
  const [owner, group] = file.owner.split(':');
  return { copy: { src: `files/{{ inventory_hostname }}${path}`, dest: path, mode: file.mode, owner, group } };
};

/** Eight tasks: folders, each bootstrap file, the capture script, /etc/hosts, and the units in a loop. */
function eightTasks(payload: Payload): Tasks {
  const units = payload.files.filter(({ path }) => path.startsWith('/etc/systemd/'));
  const others = payload.files.filter((file) => !units.includes(file));
  const [unit] = units;
  return [
    { command: { argv: ['install', '-d', '-m', '0755', ...missingFolders(payload)] } },
    ...others.map((file) => copy(file, file.path)),
    hostsBlock(payload),
    ...(unit === undefined ? [] : [{ ...copy(unit, '{{ item }}'), loop: units.map(({ path }) => path) }]),
  ];
}

const unpack: Tasks = [
  { unarchive: { src: 'files/{{ inventory_hostname }}/all.tar', dest: '/', extra_opts: ['--numeric-owner'] } },
];

const hostsBlock = ({ hostsLines }: Payload): Readonly<Record<string, unknown>> => ({
  blockinfile: { path: '/etc/hosts', marker: '# {mark} meshlift', block: hostsLines.join('\n') },
});

/** One run of ansible-playbook over all machines, with the settings that its own guides give for speed. */
export async function runAnsible(
  { folder, parts }: Playbooks,
  lab: Lab,
  form: Form,
  strategy: Strategy,
  enterGroup: string,
): Promise<void> {
  const controls = join(lab.scratch, 'controls');
  mkdirSync(controls, { recursive: true });
  const env = {
    HOME: folder,
    PYTHONPATH: join(parts.ansible, 'site'),
    ANSIBLE_HOME: join(folder, 'home'),
    ANSIBLE_FORKS: String(lab.hostKeys.length),
    // All machines share two processors here: within its ten seconds not every one of fifty has answered.
    ANSIBLE_TIMEOUT: '120',
    ANSIBLE_PIPELINING: 'true',
    ANSIBLE_HOST_KEY_CHECKING: 'true',
    ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3',
    ANSIBLE_REMOTE_USER: login.user,
    ANSIBLE_PRIVATE_KEY_FILE: lab.loginKeyFile,
    ANSIBLE_STRATEGY: strategy,
    ANSIBLE_STDOUT_CALLBACK: 'minimal',
    ANSIBLE_SSH_TRANSFER_METHOD: 'piped',
    ANSIBLE_SSH_COMMON_ARGS: `-o UserKnownHostsFile=${join(folder, 'known_hosts')}`,
    ANSIBLE_SSH_ARGS: '-o ControlMaster=auto -o ControlPersist=60s -o PreferredAuthentications=publickey',
    ANSIBLE_SSH_CONTROL_PATH_DIR: controls,
    ...(strategy === 'mitogen_linear' ? { ANSIBLE_STRATEGY_PLUGINS: join(parts.ansible, 'mitogen-strategies') } : {}),
  };
  const command = [
    'python3',
    join(parts.ansible, 'site', 'bin', 'ansible-playbook'),
    '-i',
    'inventory',
    `${form}.yaml`,
  ];
  await run('sh', ['-c', 'echo 0 >"$0/cgroup.procs" && exec "$@"', enterGroup, ...command], { cwd: folder, env });
}
