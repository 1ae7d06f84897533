/** What goes wrong on a machine while an onboarding is at work there: it completes with each effect once, or nothing of it is left. */
import { connect, type Socket } from 'node:net';
import { basename } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Operation } from '../../api/schemas/operation.ts';
import { onboardRequest, powerOff, powerOn, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { runAtOnce } from '../support/at-once.ts';
import { inside } from '../support/inside-machine.ts';
import { ask, endOf, objectsOf, reaches } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command } from '../support/sandbox.ts';

interface Row {
  /** What is wrong from the start. */
  readonly before?: (machine: SandboxMachine) => Promise<unknown>;
  /** What happens while the operation runs. */
  readonly during?: (machine: SandboxMachine, operation: string) => Promise<unknown>;
  /** Puts the machine right, so that it can be compared. */
  readonly after?: (machine: SandboxMachine) => Promise<unknown>;
}

/** More would keep each other waiting on two cores. */
const AT_ONCE = 5;

let platform: Platform;

/** Waits inside the machine until the shell says so. */
const until = async (machine: SandboxMachine, condition: string): Promise<string> =>
  await inside(machine, `n=0; until ${condition}; do sleep 0.02; n=$((n + 1)); [ $n -lt 6000 ] || exit 1; done`);

/** Every SSH connection that stands is reset for its client; the machine's side hears nothing more of it. */
const cutSsh = `for port in $(ss -Htn state established sport = :22 | awk '{ print $4 }' | sed 's/.*://'); do
  iptables -I INPUT -p tcp --dport 22 --sport "$port" -j REJECT --reject-with tcp-reset
done`;
const forgetCuts = `iptables -S INPUT | grep tcp-reset | sed 's/^-A/-D/' | while read -r rule; do iptables $rule; done`;

const idle: Socket[] = [];

/** The tool stops half-way for as long as a flag is there that does not outlive the power, and as the shell says of `where`. */
function powerLostIn(tool: string, where = ''): Row {
  const shim = `/usr/local/sbin/${basename(tool)}`;
  return {
    before: async (machine) =>
      await inside(
        machine,
        `printf '#!/bin/sh\nif [ -e /run/slow ] ${where}; then touch /run/halfway; sleep 600; fi\nexec ${tool} "$@"\n' >${shim}
         chmod 755 ${shim} && touch /run/slow`,
      ),
    during: async (machine) => {
      await until(machine, '[ -e /run/halfway ]');
      await powerOff(machine);
      await powerOn(machine);
    },
    after: async (machine) => await inside(machine, `rm ${shim}`),
  };
}

/** What begins meanwhile is refused: nothing else runs beside it. */
const replaced = 'every istiod replaced in mid-install';

/** Rows that complete: what is wrong passes, or is no hindrance. */
const completing: Readonly<Record<string, Row>> = {
  'a login shell that prints a banner, and sudo with use_pty': {
    before: async (machine) =>
      await inside(
        machine,
        `cp -a ~ops/.bashrc ~root/kept; sed -i '1i echo Welcome to this machine' ~ops/.bashrc
         echo 'Defaults use_pty' >/etc/sudoers.d/pty`,
      ),
    after: async (machine) => await inside(machine, 'mv ~root/kept ~ops/.bashrc; rm /etc/sudoers.d/pty'),
  },
  'sshd with MaxStartups 2, both taken for a while': {
    before: async (machine) => {
      // A restart, as it returns when sshd listens again; a reload returns before sshd stops listening for a moment.
      await inside(machine, "echo 'MaxStartups 2' >/etc/ssh/sshd_config.d/startups.conf; systemctl restart ssh");
      idle.push(...[1, 2].map(() => connect({ host: machine.address, port: 22 })));
      await until(machine, '[ "$(ss -Htn state established sport = :22 | wc -l)" -ge 2 ]');
    },
    during: async (machine) => {
      await until(machine, 'journalctl -u ssh -o cat --no-pager | grep -q "MaxStartups throttling"');
      for (const socket of idle) socket.destroy();
    },
    after: async (machine) => await inside(machine, 'rm /etc/ssh/sshd_config.d/startups.conf; systemctl restart ssh'),
  },
  "dpkg's lock held by another": {
    before: async (machine) =>
      await inside(
        machine,
        `setsid python3 -c 'import fcntl, time; f = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(600)' \
           >/dev/null 2>&1 & echo $! >/run/holder`,
      ),
    during: async (machine) => {
      await until(machine, 'grep -qs lock /var/lib/meshlift/stage*/installer');
      await inside(machine, 'kill $(cat /run/holder)');
    },
  },
  'SSH cut in mid-transfer': {
    during: async (machine) => {
      const seen = await inside(
        machine,
        `until [ -e "$(echo /var/lib/meshlift/stage*/0)" ]; do sleep 0.01; done; ${cutSsh}; ls /var/lib/meshlift/stage*`,
      );
      if (/^end$/m.test(seen)) throw new Error(`The transfer was over before it was cut: ${seen}`);
    },
    after: async (machine) => await inside(machine, forgetCuts),
  },
  'SSH cut in mid-script': {
    during: async (machine) => {
      await until(machine, '[ -e /run/meshlift/dead-man ]');
      await inside(machine, cutSsh);
    },
    after: async (machine) => await inside(machine, forgetCuts),
  },
  [replaced]: {
    during: async (machine) => {
      await until(machine, '[ -e /run/meshlift/dead-man ]');
      const istiods = ['-n', 'istio-system', 'delete', 'pods', '-l', 'app=istiod'];
      await command('kubectl', ...istiods, '--grace-period=0', '--force', '--wait=false');
    },
  },
  // The package's own script makes the group.
  'power lost in mid-install, and back': powerLostIn('/usr/sbin/groupadd'),
  'power lost between the files and the start, which takes the token along': powerLostIn(
    '/usr/bin/systemctl',
    '&& [ -e /run/secrets/tokens/istio-token ]',
  ),
};

/** Rows that are rolled back, and what the operation says. */
const rolledBack: Readonly<Record<string, Row & { readonly says: RegExp }>> = {
  'a disk that fills up': {
    before: async (machine) =>
      await inside(
        machine,
        `mount -t tmpfs -o mode=755,size=2g,nr_inodes=$(($(find /var/lib | wc -l) + 24)) small /mnt &&
         cp -a /var/lib/. /mnt && mount --bind /mnt /var/lib`,
      ),
    after: async (machine) => await inside(machine, 'umount /var/lib /mnt'),
    says: /Disk full on .*: free some space under \/var\/lib/,
  },
  'a read-only /etc': {
    before: async (machine) => await inside(machine, 'mount --bind /etc /etc && mount -o remount,bind,ro /etc'),
    after: async (machine) => await inside(machine, 'umount /etc'),
    says: /\/etc is read-only; mount it read-write/,
  },
};

const swapKey = `cd /etc/ssh && mv ssh_host_ed25519_key ~root/ && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key <<y >/dev/null
y
systemctl restart ssh`;
const swapBack =
  'cd /etc/ssh && mv ~root/ssh_host_ed25519_key . && ssh-keygen -y -f ssh_host_ed25519_key >ssh_host_ed25519_key.pub && systemctl restart ssh';
const swapped = 'a host key that is swapped between two steps';

interface Ended {
  readonly operation: Operation;
  /** Of rows that complete: the offboarding. */
  readonly offboarded?: Operation;
  readonly effects: { readonly installs: number; readonly starts: number };
  readonly left: readonly string[];
  readonly objects: readonly string[];
  readonly log: string;
}

const countEffects = `grep -c ' installed istio-sidecar' /var/log/dpkg.log || true
journalctl -u istio -o json --no-pager | grep -o '"INVOCATION_ID":"[0-9a-f]*"' | sort -u | wc -l`;

async function run(title: string): Promise<Ended> {
  const row: Row = completing[title] ?? rolledBack[title] ?? {};
  const machine = await platform.machine(
    title
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .slice(0, 40),
    'shop',
  );
  const asFound = await snapshot(machine);
  await row.before?.(machine);
  const { id } = await ask(() => platform.api.onboard(onboardRequest(platform.env, machine, machine.name)));
  if (title === swapped) {
    await reaches(platform.api, id, 'installPackage');
    await inside(machine, swapKey);
  }
  await row.during?.(machine, id);
  const operation = await endOf(platform.api, id);
  const log = await inside(machine, 'journalctl -u ssh -o cat --no-pager');
  const [installs = 0, starts = 0] = (await inside(machine, countEffects)).split('\n').map(Number);
  if (title === swapped) await inside(machine, swapBack);
  const leaves = operation.phase === 'Succeeded' || title === swapped;
  const offboarded = leaves
    ? await endOf(platform.api, (await ask(() => platform.api.offboard('shop', machine.name))).id)
    : undefined;
  await row.after?.(machine);
  return {
    operation,
    ...(offboarded ? { offboarded } : {}),
    effects: { installs, starts },
    left: difference(asFound, await snapshot(machine)),
    objects: await objectsOf('shop', machine.name),
    log,
  };
}

let rowOf: (title: string) => Ended;

beforeAll(async () => {
  platform = await startPlatform();
  const titles = [...Object.keys(completing), ...Object.keys(rolledBack), swapped];
  const rows = await runAtOnce(
    titles.filter((title) => title !== replaced),
    run,
    AT_ONCE,
  );
  const last = await run(replaced);
  rowOf = (title) => (title === replaced ? last : rows(title));
}, 600_000);

afterAll(async () => {
  for (const socket of idle) socket.destroy();
  await platform.stop();
}, 120_000);

describe('an onboarding meets', () => {
  test.each(Object.keys(completing))('%s: it completes, each effect once, and leaves as found', (title) => {
    const { operation, offboarded, effects, left, objects } = rowOf(title);
    expect({ message: operation.message, phase: operation.phase }).toMatchObject({ phase: 'Succeeded' });
    expect(effects).toEqual({ installs: 1, starts: 1 });
    expect({ phase: offboarded?.phase, left, objects }).toEqual({ phase: 'Succeeded', left: [], objects: [] });
  });

  test.each(Object.entries(rolledBack))('%s: it is rolled back and says why', (title, { says }) => {
    const { operation, left, objects } = rowOf(title);
    expect(operation.phase).toBe('RolledBack');
    expect(operation.message).toMatch(says);
    expect({ left, objects }).toEqual({ left: [], objects: [] });
  });

  test(`${swapped}: it stops there, says what is left, and leaves as found once the key is right`, () => {
    const { operation, offboarded, left, objects, log } = rowOf(swapped);
    expect(operation.phase).toBe('Failed');
    expect(operation.message).toMatch(/Verify the key at the machine, then correct hostKey.*undo\.sh takes back/);
    expect(
      log
        .slice(log.lastIndexOf('Server listening'))
        .split('\n')
        .filter((line) => line.includes('Accepted')),
    ).toEqual([]);
    expect({ phase: offboarded?.phase, left, objects }).toEqual({ phase: 'Succeeded', left: [], objects: [] });
  });

  test('none of it ends the worker', () => {
    const { child, log } = platform.worker();
    expect({ exit: child.exitCode ?? child.signalCode, log: log().slice(-2_000) }).toMatchObject({ exit: null });
  });
});
