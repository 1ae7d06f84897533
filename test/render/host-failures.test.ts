import { describe, expect, test } from '@jest/globals';

import { scriptFailure } from '../../activities/adapters/host-failures.ts';

describe('a script that failed', () => {
  const rows: readonly (readonly [code: number, stderr: string, type: string, says: string])[] = [
    [70, 'meshlift: cannot write /etc/hosts\n', 'HostCommandFailed', 'cannot write /etc/hosts'],
    [71, 'meshlift: fence 1 is lower than 2\n', 'FenceTooLow', 'fence 1 is lower than 2'],
    [72, 'meshlift: another exec holds the lock\n', 'HostBusy', 'another exec holds the lock'],
    [74, 'noise\nmeshlift: the proxy is not ready\n', 'ProxyNotReady', 'the proxy is not ready'],
    [75, 'meshlift: port 80 does not answer any more\n', 'CaptureBrokeTraffic', 'port 80 does not answer'],
    [70, 'cp: No space left on device\nmeshlift: cannot write /a\n', 'HostDiskFull', 'free some space'],
    [1, 'sudo: a password is required\n', 'SudoRefused', 'a password is required'],
    [1, 'ops is not in the sudoers file.\n', 'SudoRefused', 'without a password'],
    [1, 'sudo: sorry, you must have a tty to run sudo\n', 'SudoRefused', 'Defaults:ops !requiretty'],
    [127, 'bash: line 1: sudo: command not found\n', 'SudoRefused', 'command not found'],
    [2, 'sh: 1: Syntax error\n', 'HostCommandFailed', 'ended with 2: sh: 1: Syntax error'],
    [137, '', 'HostCommandFailed', 'ended with 137'],
  ];
  test.each(rows)('exit %i with %j is %s', (code, stderr, type, says) => {
    const found = scriptFailure({ code, stdout: '', stderr }, 'ops@10.0.0.5:22');
    expect(found.type).toBe(type);
    expect(found.message).toContain(says);
    expect(found.message).toContain('ops@10.0.0.5:22');
  });
});
