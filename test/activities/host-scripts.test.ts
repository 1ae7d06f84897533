/** The parts of the machine's scripts that need no machine, under every shell that may be its sh. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { quote, readScript } from '../../activities/adapters/host-command.ts';
import { runShell, type ShellName } from '../support/shells.ts';

const library = ['common', 'journal', 'changes'].map(readScript).join('\n');
const certificate = (body: string): string =>
  `-----BEGIN CERTIFICATE-----\n${body}\n${body}\n-----END CERTIFICATE-----\n`;

describe.each<ShellName>(['dash', 'bash', 'busybox'])('%s', (shell) => {
  let folder = '';
  const at = (...path: string[]): string => join(folder, ...path);
  const put = (name: string, content: string): void => {
    writeFileSync(at(name), content);
  };
  /** The snippet with the scripts' functions, a journal and a stage in a folder of its own. */
  const run = (snippet: string): Promise<string> =>
    runShell(
      shell,
      `STATE=${quote(at('state'))} RUN=${quote(at('run'))} STAGE=${quote(at('stage'))}\n${library}\n${snippet}`,
    );

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'meshlift-scripts-'));
    for (const name of ['stage', 'run', 'etc']) mkdirSync(at(name));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test('an answer is JSON whatever stands in its lines', async () => {
    put(
      'lines',
      ['a\tplain', 'b\tback\\slash "quoted" $x `y`', 'a\ttab\there', 'c\tbell\u0007 and é', 'd\t'].join('\n'),
    );
    expect(JSON.parse(await run(`to_json <${quote(at('lines'))}`))).toEqual({
      a: ['plain', 'tab\there'],
      b: ['back\\slash "quoted" $x `y`'],
      c: ['bell and é'],
      d: [''],
    });
    expect(await run('to_json </dev/null')).toBe('{}\n');
  });

  test('the fence is the highest of journal and restore', async () => {
    expect(await run('read_fence')).toBe('0\n');
    mkdirSync(at('state'));
    put('state/fence', '7\n');
    put('run/fence', '12 closed\n');
    expect(await run('read_fence')).toBe('12\n');
  });

  test('a certificate set is there when each of its certificates is, however the file is laid out', async () => {
    put('wanted', certificate('AAAA'));
    put('both', `# roots\n${certificate('BBBB')}${certificate('AAAA').replaceAll('\n', '\r\n')}`);
    put('other', certificate('BBBB'));
    put('empty', '');
    const holds = (wanted: string, found: string): Promise<string> =>
      run(`if holds_certificates ${quote(at(wanted))} ${quote(at(found))}; then echo yes; else echo no; fi`);
    expect(await holds('wanted', 'both')).toBe('yes\n');
    expect(await holds('both', 'wanted')).toBe('no\n');
    expect(await holds('wanted', 'other')).toBe('no\n');
    expect(await holds('empty', 'both')).toBe('no\n');
  });

  test('the marked block of /etc/hosts is taken out and everything else stays', async () => {
    put('hosts', '127.0.0.1 localhost\n# BEGIN meshlift\n10.0.0.1 istiod\n# END meshlift\n10.0.0.9 other\n');
    expect(await run(`hosts_without_block ${quote(at('hosts'))}`)).toBe('127.0.0.1 localhost\n10.0.0.9 other\n');
  });

  test('a file is written once, with its mode, and a second time nothing is', async () => {
    put('stage/0', 'content\n');
    const write = `open_journal; write_file 0 0640 root:root bytes ${quote(at('etc/new/file'))}`;
    await run(write);
    expect(readFileSync(at('etc/new/file'), 'utf8')).toBe('content\n');
    expect(statSync(at('etc/new/file')).mode & 0o7777).toBe(0o640);
    expect(readFileSync(at('stage/result'), 'utf8')).toBe(`changed\tWriteFile ${at('etc/new/file')}\n`);
    rmSync(at('stage/result'));
    await run(write);
    expect(() => readFileSync(at('stage/result'))).toThrow('ENOENT');
  });

  test('undo.sh puts back contents, modes, links and absences, newest first, and leaves nothing of its own', async () => {
    put('etc/kept', 'before\n');
    chmodSync(at('etc/kept'), 0o604);
    symlinkSync('kept', at('etc/link'));
    const tree = (): string => execFileSync('find', [at('etc'), '-printf', '%p %m %U %G %y %l %s\n']).toString();
    const before = tree();
    put('stage/0', 'after\n');
    const paths = ['etc/kept', 'etc/link', 'etc/a/b/new'].map((path) => quote(at(path)));
    await run(`open_journal; for path in ${paths.join(' ')}; do write_file 0 0600 root:root bytes "$path"; done`);
    expect(tree()).not.toBe(before);
    const undo = `STATE=${quote(at('state'))} RUN=${quote(at('run'))}; export STATE RUN\n${readScript('undo')}`;
    await runShell(shell, undo);
    expect(tree()).toBe(before);
    expect(readFileSync(at('etc/kept'), 'utf8')).toBe('before\n');
    expect(() => statSync(at('state'))).toThrow('ENOENT');
    await expect(runShell(shell, undo)).rejects.toThrow('nothing to undo');
  });
});
