/** Everything of a machine that offboarding must leave as it was: files, users, packages, units, rules (protocols 4). */
import type { SandboxMachine } from '../../demo/sandbox-client.ts';
import { onMachine } from './sandbox.ts';

/** The fixed list of what may differ, as docs/machine-changes.md states it. */
const mayDiffer = [
  '/var/log',
  '/run',
  '/tmp',
  '/var/tmp',
  '/var/cache/apt',
  '/var/lib/apt',
  '/var/cache/ldconfig',
  '/var/lib/dpkg/*-old',
  '/var/lib/dpkg/info/format',
  '/var/lib/dpkg/lock*',
  '/var/backups',
  '/etc/ld.so.cache',
  '/etc/passwd-',
  '/etc/group-',
  '/etc/shadow-',
  '/etc/gshadow-',
  '/var/lib/systemd',
  '/home/ops/.cache',
];

// Of the firewall, rules, chains and policies count: a table that was looked at once stays, empty, until the next boot.
const listing = `
find / -xdev \\( ${mayDiffer.map((path) => `-path '${path}'`).join(' -o ')} \\) -prune -o \\
  \\( -type f -o -type l -o -type d \\) -printf '%y %m %U:%G %l %p\\n' | sort -k5
echo == digests
find / -xdev \\( ${mayDiffer.map((path) => `-path '${path}'`).join(' -o ')} \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
echo == packages
dpkg-query -W -f '\${Package} \${Version} \${Status}\\n'
echo == units
systemctl list-unit-files --no-legend --no-pager | awk '{print $1, $2}' | sort
echo == rules
for tables in iptables-legacy-save iptables-nft-save ip6tables-legacy-save ip6tables-nft-save; do
  echo "-- $tables"; $tables 2>/dev/null | grep -E '^-A|^:' | grep -vE '^:[A-Z]+ ACCEPT' | sed -e 's/ \\[[0-9]*:[0-9]*\\]//'
done
echo == processes
ps -eo user,comm --no-headers | grep -E 'envoy|pilot-agent|istio' || true
`;

/** One line per fact, in a stable order: two snapshots of an untouched machine are equal. */
export async function snapshot(machine: SandboxMachine): Promise<string[]> {
  return (await onMachine(machine, listing)).split('\n');
}

/** Lines that only one of the snapshots has, marked - and +. */
export function difference(before: readonly string[], after: readonly string[]): string[] {
  const had = new Set(before);
  const has = new Set(after);
  return [
    ...before.filter((line) => !has.has(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !had.has(line)).map((line) => `+ ${line}`),
  ];
}
