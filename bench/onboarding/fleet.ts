/** Machines with an sshd each on loopback, made anew for every run, so that each tool finds them as an installer leaves them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { newKeyPair } from '../../sandbox/machines/ssh-keys.ts';
import type { Group } from './cgroup.ts';
import { login } from './parts.ts';

export interface BenchMachine {
  readonly name: string;
  readonly port: number;
  /** One line of known_hosts. */
  readonly knownHost: string;
  /** What the machine has written, over the shared root, and its /run. */
  readonly upper: string;
  readonly run: string;
}

export interface Fleet {
  readonly machines: readonly BenchMachine[];
  readonly stop: () => Promise<void>;
}

export interface Lab {
  readonly scratch: string;
  /** A folder in memory, as /run is. */
  readonly memory: string;
  readonly root: string;
  readonly cpu: Group;
  /** Private key of the login, OpenSSH format, and the file it is in. */
  readonly loginKey: string;
  readonly loginKeyFile: string;
  readonly hostKeys: readonly { readonly private: string; readonly public: string }[];
}

/** Each fleet has ports of its own: those of the one before may be held for a moment longer. */
const firstPort = 20_001;
const portsPerFleet = 500;
let fleets = 0;
const boot = join(import.meta.dirname, 'machine.sh');

/** Keys are made once: making them is nobody's work here. */
export function makeLab(scratch: string, root: string, size: number, cpu: Group): Lab {
  const key = newKeyPair('bench');
  const loginKeyFile = join(scratch, 'login-key');
  writeFileSync(loginKeyFile, key.private, { mode: 0o600 });
  const ssh = join(scratch, 'common', 'home', login.user, '.ssh');
  mkdirSync(ssh, { recursive: true });
  writeFileSync(join(ssh, 'authorized_keys'), `${key.public}\n`, { mode: 0o600 });
  chmodSync(ssh, 0o700);
  for (const path of [join(ssh, 'authorized_keys'), ssh, join(ssh, '..')]) chownSync(path, login.id, login.id);
  const hostKeys = Array.from({ length: size }, () => newKeyPair('bench'));
  const memory = join(scratch, 'memory');
  mkdirSync(memory);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', memory]);
  return { scratch, memory, root, cpu, loginKey: key.private, loginKeyFile, hostKeys };
}

/** Starts every machine of the lab; resolves when each sshd greets. */
export async function startFleet(lab: Lab): Promise<Fleet> {
  const fleet = String(fleets++);
  const folder = join(lab.scratch, 'machines', fleet);
  const ports = firstPort + (Number(fleet) % 20) * portsPerFleet;
  const memory = join(lab.memory, fleet);
  mkdirSync(memory);
  const started = lab.hostKeys.map((hostKey, index) =>
    startMachine(lab, { folder, memory, hostKey, name: `bench-${index + 1}`, port: ports + index }),
  );
  await Promise.all(started.map(({ machine, child }) => greeted(machine, child)));
  return {
    machines: started.map(({ machine }) => machine),
    stop: async () => {
      await Promise.all(started.map(({ child }) => stopped(child)));
      rmSync(folder, { recursive: true, force: true });
      rmSync(memory, { recursive: true, force: true });
    },
  };
}

interface NewMachine {
  readonly folder: string;
  readonly memory: string;
  readonly hostKey: Lab['hostKeys'][number];
  readonly name: string;
  readonly port: number;
}

function startMachine(
  lab: Lab,
  { folder, memory, hostKey, name, port }: NewMachine,
): { machine: BenchMachine; child: ChildProcess } {
  const own = join(folder, name);
  const upper = join(own, 'upper');
  mkdirSync(join(upper, 'etc', 'ssh'), { recursive: true });
  const run = join(memory, name);
  for (const part of [join(own, 'work'), join(own, 'merged'), run]) mkdirSync(part);
  writeFileSync(join(upper, 'etc', 'hostname'), `${name}\n`);
  writeFileSync(join(upper, 'etc', 'hosts'), `127.0.0.1 localhost\n127.0.1.1 ${name}\n`);
  writeFileSync(join(upper, 'etc', 'ssh', 'ssh_host_ed25519_key'), hostKey.private, { mode: 0o600 });
  const lower = `${join(lab.scratch, 'common')}:${lab.root}`;
  const child = spawn(
    'unshare',
    [
      ...['--mount', '--uts', '--pid', '--fork', '--kill-child', '--propagation', 'slave', 'sh', boot],
      ...[name, String(port), own, run, lower, lab.cpu.path],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const knownHost = `[127.0.0.1]:${port} ${hostKey.public.trim()}`;
  return { machine: { name, port, knownHost, upper, run }, child };
}

async function greeted({ name, port }: BenchMachine, child: ChildProcess): Promise<void> {
  let said = '';
  child.stderr?.on('data', (text: Buffer) => {
    said = `${said}${text.toString()}`.slice(-1_000);
  });
  for (;;) {
    if (child.exitCode !== null) throw new Error(`sshd of ${name} ended with ${child.exitCode}: ${said.trim()}`);
    if (await greets(port)) return;
    await delay(50);
  }
}

async function greets(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', () => {
      end(true);
    });
    socket.once('error', () => {
      end(false);
    });
    socket.once('close', () => {
      end(false);
    });
  });
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
