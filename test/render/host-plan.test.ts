import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { describe, expect, test } from '@jest/globals';
import { extract } from 'tar-stream';

import { hostCommand, quote } from '../../activities/adapters/host-command.ts';
import { packHostPlan, renderHostPlan } from '../../activities/adapters/host-plan.ts';
import type { HostChange } from '../../activities/ports/host-port.ts';

const write = (path: string, content: string): HostChange => ({
  kind: 'WriteFile',
  path,
  mode: '0600',
  owner: 'istio-proxy:istio-proxy',
  content,
});

describe('the plan of an exec', () => {
  const rows: readonly (readonly [HostChange, string])[] = [
    [write('/etc/certs/a', 'x'), 'WriteFile\t0600\tistio-proxy:istio-proxy\tbytes\t/etc/certs/a'],
    [{ kind: 'WriteHostsBlock', lines: ['10.0.0.1 istiod'] }, 'WriteHostsBlock\t0'],
    [{ kind: 'StartProxy', deadManSeconds: 60 }, 'StartProxy\t60\t150'],
    [{ kind: 'StartProxy', deadManSeconds: 5, readySeconds: 9 }, 'StartProxy\t5\t9'],
    [{ kind: 'ConfirmCapture' }, 'ConfirmCapture'],
    [{ kind: 'StopProxy' }, 'StopProxy'],
    [{ kind: 'Hold', by: 'drain-shop-orders-1-01' }, 'Hold\tdrain-shop-orders-1-01'],
    [{ kind: 'ReleaseHold' }, 'ReleaseHold'],
    [{ kind: 'RestartProxy', readySeconds: 60 }, 'RestartProxy\t60'],
    [{ kind: 'Restore' }, 'Restore'],
    [
      { kind: 'InstallPackage', name: 'istio-sidecar', version: '1.30.0', sha256: 'ab', localPath: '/p/x_amd64.deb' },
      'InstallPackage\t0\tistio-sidecar\t1.30.0\tab\tistio-sidecar-1.30.0.deb',
    ],
  ];
  test.each(rows)('%j is one line', (change, line) => {
    expect(renderHostPlan([change]).lines).toEqual([line]);
  });

  test('contents stay out of the plan, in payloads that their lines name', () => {
    const plan = renderHostPlan([write('/etc/a', 'secret'), { kind: 'WriteHostsBlock', lines: ['10.0.0.1 istiod'] }]);
    expect(plan.lines.join('\n')).not.toContain('secret');
    expect(plan.lines[1]).toBe('WriteHostsBlock\t1');
    expect(plan.payloads).toEqual([
      { name: 'files/etc/.a.meshlift', mode: '0600', owner: 'istio-proxy:istio-proxy', text: 'secret' },
      { name: '1', text: '10.0.0.1 istiod\n' },
    ]);
  });

  test.each(['/etc/a\tb', '/etc/a\nb', ''])('a path that would break its line is refused: %j', (path) => {
    expect(() => renderHostPlan([write(path, 'x')])).toThrow(TypeError);
  });
});

describe('the tar on standard input', () => {
  test('holds plan, scripts and payloads, files beside the worker included, and ends with its end mark', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'meshlift-plan-'));
    const localPath = join(folder, 'istio-sidecar.deb');
    writeFileSync(localPath, 'package');
    const plan = renderHostPlan([
      { kind: 'InstallPackage', name: 'istio-sidecar', version: '1.30.0', sha256: 'ab', localPath },
      write('/a', 'content'),
    ]);
    const found: [string, string, number, string][] = [];
    for await (const entry of packHostPlan(plan, [{ name: 'undo.sh', mode: '0700', text: '#!/bin/sh\n' }]).pipe(
      extract(),
    )) {
      const { name, mode, uname, gname } = entry.header;
      found.push([name, await text(entry), mode, `${uname}:${gname}`]);
    }
    rmSync(folder, { recursive: true });
    expect(found).toEqual([
      ['plan', plan.lines.map((line) => `${line}\n`).join(''), 0o600, 'root:root'],
      ['undo.sh', '#!/bin/sh\n', 0o700, 'root:root'],
      ['0', 'package', 0o600, 'root:root'],
      ['files/.a.meshlift', 'content', 0o600, 'istio-proxy:istio-proxy'],
      ['end', 'end\n', 0o600, 'root:root'],
    ]);
  });

  test('breaks off when a file beside the worker is gone', async () => {
    const plan = renderHostPlan([
      { kind: 'InstallPackage', name: 'a', version: '1', sha256: 'ab', localPath: '/nowhere/a.deb' },
    ]);
    await expect(text(packHostPlan(plan, []))).rejects.toThrow('ENOENT');
  });
});

describe('the command', () => {
  test('quotes what a shell would read', () => {
    expect(quote(`it's $(x)`)).toBe(`'it'\\''s $(x)'`);
  });

  test('runs the script by sudo, or directly for root, and stays below what one argument may hold', () => {
    expect(hostCommand('ops', 'inspect', ['/etc/hosts'])).toMatch(/^'sudo' '-n' 'sh' '-c' /);
    expect(hostCommand('root', 'apply', ['op', '1', 'step', 'once'])).toMatch(
      /^'sh' '-c' [^]* 'op' '1' 'step' 'once'$/,
    );
    expect(hostCommand('ops', 'apply', []).length).toBeLessThan(100_000);
  });
});
