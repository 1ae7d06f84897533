/** What is wrong before the first write: the operation ends with one critical condition that names its cure, and touches neither side. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { onboardRequest, sandbox, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { runAtOnce } from '../support/at-once.ts';
import { inside } from '../support/inside-machine.ts';
import { ask, blockingOf, endOf, objectsOf } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

interface Row {
  /** Breaks the machine, and puts it right again. */
  readonly breaks?: (machine: SandboxMachine) => Promise<unknown>;
  readonly mends?: (machine: SandboxMachine) => Promise<unknown>;
  readonly asks?: (request: OnboardMachine) => OnboardMachine;
  /** The one condition. */
  readonly type: string;
  readonly reason: string;
  /** What its message names: the object and the cure. */
  readonly says: RegExp;
}

const nobodysKey = { fingerprint: `SHA256:${'A'.repeat(43)}` };
const sshdSays = (level: string): string =>
  `echo 'LogLevel ${level}' >/etc/ssh/sshd_config.d/level.conf; systemctl reload ssh`;

const rows: Readonly<Record<string, Row>> = {
  'a wrong host key': {
    breaks: async (machine) => await inside(machine, sshdSays('DEBUG1')),
    mends: async (machine) => await inside(machine, 'rm /etc/ssh/sshd_config.d/level.conf; systemctl reload ssh'),
    asks: (request) => ({ ...request, host: { ...request.host, hostKey: nobodysKey } }),
    type: 'HostKeyTrusted',
    reason: 'HostKeyMismatch',
    says: /Verify the key at the machine, then correct hostKey/,
  },
  'a wrong login key': {
    breaks: async (machine) => await inside(machine, 'mv ~ops/.ssh/authorized_keys ~root/kept'),
    mends: async (machine) => await inside(machine, 'mv ~root/kept ~ops/.ssh/authorized_keys'),
    type: 'LoginAccepted',
    reason: 'HostAuthRejected',
    says: /rejects the key of Secret sandbox-ssh; add its public half to authorized_keys of ops/,
  },
  'a login user without sudo': {
    breaks: async (machine) => await inside(machine, 'mv /etc/sudoers.d/ops ~root/kept'),
    mends: async (machine) => await inside(machine, 'mv ~root/kept /etc/sudoers.d/ops'),
    type: 'SudoAllowed',
    reason: 'SudoRefused',
    says: /let the login user run sudo without a password/,
  },
  'sudo that asks for a terminal': {
    breaks: async (machine) => await inside(machine, "echo 'Defaults requiretty' >/etc/sudoers.d/terminal"),
    mends: async (machine) => await inside(machine, 'rm /etc/sudoers.d/terminal'),
    type: 'SudoAllowed',
    reason: 'SudoRefused',
    says: /asks for a terminal.*Defaults:ops !requiretty/,
  },
  'a machine that is off': {
    breaks: async ({ name }) => await sandbox('machine', 'power-off', name),
    mends: async ({ name }) => await sandbox('machine', 'power-on', name),
    type: 'Reachable',
    reason: expect.stringMatching(/^(HostUnreachable|TimedOut)$/) as unknown as string,
    says: /check address, port and firewall/,
  },
  'a machine under another name': {
    asks: (request) => ({ ...request, name: 'alias-1' }),
    type: 'HostnameMatches',
    reason: 'HostnameDiffers',
    says: /names the machine alias-1, its hostname -s says refused-.*; use that name or change the hostname/,
  },
  'a revision that nobody runs': {
    asks: (request) => ({ ...request, revision: 'never-ran' }),
    type: 'RevisionKnown',
    reason: 'RevisionUnknown',
    says: /Revision never-ran has no istiod in this cluster; name one that istioctl tag list/,
  },
  'a disk without room': {
    breaks: async (machine) => await inside(machine, overVarLib('size=64m')),
    mends: async (machine) => await inside(machine, 'umount /var/lib /mnt'),
    type: 'DiskSpace',
    reason: 'DiskTooFull',
    says: /the proxy needs 500 MB; make room there/,
  },
};

/** Since the level was raised. */
const readSshdLog = `journalctl -u ssh -o cat --no-pager | sed '1,/SIGHUP/d'`;

/** A small file system over /var/lib, with all that stood there. */
function overVarLib(limits: string): string {
  return `mount -t tmpfs -o mode=755,${limits} small /mnt && cp -a /var/lib/. /mnt && mount --bind /mnt /var/lib`;
}

interface Ended {
  readonly operation: Operation;
  readonly left: readonly string[];
  readonly objects: readonly string[];
  readonly sshdLog: string;
}

let platform: Platform;
let rowOf: (title: string) => Ended;

async function run(title: string): Promise<Ended> {
  const { breaks, mends, asks } = rows[title] ?? {};
  const machine = await platform.machine(`refused-${title.replaceAll(' ', '-')}`.slice(0, 40), 'shop');
  const asFound = await snapshot(machine);
  await breaks?.(machine);
  const request = onboardRequest(platform.env, machine, machine.name);
  const { id } = await ask(() => platform.api.onboard(asks ? asks(request) : request));
  const operation = await endOf(platform.api, id);
  const sshdLog = title === 'a wrong host key' ? await inside(machine, readSshdLog) : '';
  await mends?.(machine);
  let left: string[] = [];
  await eventually('the machine answers', async () => {
    left = difference(asFound, await snapshot(machine));
    return true;
  });
  return { operation, left, objects: await objectsOf('shop', machine.name, 'alias-1'), sshdLog };
}

beforeAll(async () => {
  platform = await startPlatform();
  rowOf = await runAtOnce(Object.keys(rows), run);
}, 300_000);

afterAll(async () => {
  await platform.stop();
}, 60_000);

describe('an onboarding that finds', () => {
  test.each(Object.entries(rows))('%s says so in one condition, with its cure, and touches nothing', (title, row) => {
    const { operation, left, objects } = rowOf(title);
    const conditions = blockingOf(operation);
    expect(conditions.map(({ type, reason }) => ({ type, reason }))).toEqual([{ type: row.type, reason: row.reason }]);
    expect(conditions[0]?.message).toMatch(row.says);
    expect(operation).toMatchObject({ phase: 'Failed', message: expect.stringMatching(/^Nothing was touched: /) });
    expect({ left, objects }).toEqual({ left: [], objects: [] });
  });

  test('a wrong host key makes no attempt to log in, by the log of sshd', () => {
    const { sshdLog } = rowOf('a wrong host key');
    // The key exchange was logged, at a level that also tells each request of an authentication.
    expect(sshdLog).toContain('SSH2_MSG_KEXINIT');
    expect(sshdLog.split('\n').filter((line) => /userauth|Accepted|Failed|authenticating/i.test(line))).toEqual([]);
  });
});
