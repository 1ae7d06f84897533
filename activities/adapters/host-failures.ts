/** What went wrong on a machine, as a failure of the table: the exits of our scripts, sudo's refusals, a full disk. */
import type { ApplicationFailure } from '@temporalio/common';

import { failure, type FailureType } from '../failures.ts';

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const exits: Readonly<Record<number, FailureType>> = {
  70: 'HostCommandFailed',
  71: 'FenceTooLow',
  72: 'HostBusy',
  74: 'ProxyNotReady',
  75: 'CaptureBrokeTraffic',
  76: 'HostTaken',
  77: 'TokenMissing',
};

/** The failure of a script that ended with another exit than 0; `machine` says which in the message. */
export function scriptFailure(result: ExecResult, machine: string): ApplicationFailure {
  const { code, stderr } = result;
  if (/no space left on device/i.test(stderr)) {
    return failure('HostDiskFull', `Disk full on ${machine}: free some space under /var/lib, then try again`);
  }
  const said = [...stderr.matchAll(/^meshlift: (.*)$/gm)].at(-1)?.[1];
  const type = exits[code];
  if (said !== undefined && type !== undefined) return failure(type, `${machine}: ${said}`);
  if (/^sudo: .*\b(tty|terminal)\b/m.test(stderr) && !stderr.includes('password')) {
    return failure(
      'SudoRefused',
      `sudo on ${machine} asks for a terminal (${lastLine(stderr)}); add "Defaults:ops !requiretty" for the login user to its sudoers`,
    );
  }
  if (/^sudo: |not in the sudoers|sudo.*not found|not allowed to execute/m.test(stderr)) {
    return failure(
      'SudoRefused',
      `sudo -n is refused on ${machine} (${lastLine(stderr)}); let the login user run sudo without a password`,
    );
  }
  return failure('HostCommandFailed', `The script on ${machine} ended with ${code}: ${said ?? lastLine(stderr)}`);
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
