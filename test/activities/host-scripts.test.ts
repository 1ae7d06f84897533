/** The parts of the machine's scripts that need no machine, under every shell that may be its sh. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { parseAnswer } from '../../activities/adapters/host-answer.ts';
import { quote, readScript } from '../../activities/adapters/host-command.ts';
import { renderCaptureScript } from '../../activities/render/capture-script.ts';
import { fetchBefore, runShell, type ShellName } from '../support/shells.ts';

const library = ['common', 'journal', 'changes', 'apply'].map(readScript).join('\n');
const certificate = (body: string): string =>
  `-----BEGIN CERTIFICATE-----\n${body}\n${body}\n-----END CERTIFICATE-----\n`;

describe.each<ShellName>(['dash', 'bash', 'busybox'])('%s', (shell) => {
  fetchBefore(shell);
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

  test('an answer is read as it is, whatever stands in its lines', async () => {
    put(
      'lines',
      ['a\tplain', 'b\tback\\slash "quoted" $x `y` %s', 'a\ttab\there', 'c\tbell\u0007 and é', 'd\t', ''].join('\n'),
    );
    const lines = quote(at('lines'));
    expect(parseAnswer(`Welcome\n${await run(`answer ${lines} "e\tmore"`)}Bye\n`)).toEqual({
      a: ['plain', 'tab\there'],
      b: ['back\\slash "quoted" $x `y` %s'],
      c: ['bell and é'],
      d: [''],
      e: ['more'],
    });
    expect(parseAnswer(await run('answer /dev/null'))).toEqual({});
  });

  test('the fence is the highest of journal and restore', async () => {
    const read = 'read_fence; echo "$highest"';
    expect(await run(read)).toBe('0\n');
    mkdirSync(at('state'));
    put('state/fence', '7\n');
    put('run/fence', '12 closed\n');
    expect(await run(read)).toBe('12\n');
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

  test('the marked block of /etc/hosts is taken out or made anew, and everything else stays', async () => {
    put('hosts', '127.0.0.1 localhost\n# BEGIN meshlift\n10.0.0.1 istiod\n# END meshlift\n10.0.0.9 other\n');
    const withBlock = (lines: string): Promise<string> => {
      put('lines', lines);
      return run(`hosts_with_block ${quote(at('hosts'))} ${quote(at('lines'))} || echo as before`);
    };
    expect(await withBlock('')).toBe('127.0.0.1 localhost\n10.0.0.9 other\n');
    expect(await withBlock('10.0.0.2 istiod\n')).toBe(
      '127.0.0.1 localhost\n10.0.0.9 other\n# BEGIN meshlift\n10.0.0.2 istiod\n# END meshlift\n',
    );
    put('hosts', '127.0.0.1 localhost\n# BEGIN meshlift\n10.0.0.2 istiod\n# END meshlift\n');
    expect(await withBlock('10.0.0.2 istiod\n')).toMatch(/as before$/m);
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

  describe.each([
    ['perl', ''],
    ['the tools of a machine without perl', 'has() { [ "$1" != perl ]; }'],
  ])('by %s', (_by, without) => {
    /** Files of the stage, one a line: content, mode, owner, path. */
    const place = (files: readonly (readonly [string, string, string, string])[], more = ''): Promise<string> => {
      const lines = files.map(([content, mode, owner, path], index) => {
        put(`stage/${index}`, content);
        const target = quote(at(path));
        return `stage_file "$STAGE/${index}" ${target} ${mode} ${owner}; prepare_write ${mode} ${owner} bytes ${target}`;
      });
      return run(`${without}\nopen_journal\n${lines.join('\n')}\n${more}\ncommit_files`);
    };
    const stated = (path: string): string => {
      const { mode, uid } = statSync(at(path));
      return `${(mode & 0o7777).toString(8)} ${uid}`;
    };

    test('files take their places together, each with its bytes, mode and owner, in folders that are made for them', async () => {
      const bytes = `é\u0000\n'"$x\n\n`;
      put('etc/.old.meshlift', 'of an attempt that was killed');
      put('etc/old', 'before');
      await place([
        [bytes, '0600', 'root:root', 'etc/a/b/secret'],
        ['', '0644', 'nobody:nogroup', 'etc/a/empty'],
        ['#!/bin/sh', '0755', 'root:root', 'etc/old'],
      ]);
      expect(['etc/a/b/secret', 'etc/a/empty', 'etc/old'].map((path) => readFileSync(at(path), 'utf8'))).toEqual([
        ...[bytes, '', '#!/bin/sh'],
      ]);
      expect(['etc/a/b/secret', 'etc/a/empty', 'etc/old', 'etc/a', 'etc/a/b'].map(stated)).toEqual([
        ...['600 0', '644 65534', '755 0', '755 0', '755 0'],
      ]);
      expect(readdirSync(at('etc')).sort()).toEqual(['a', 'old']);
    });

    test('what cannot be put in place is said, and no temporary file stays', async () => {
      const files = [
        ['secret', '0600', 'root:root', 'etc/first'],
        ['secret', '0600', 'root:root', 'etc/second'],
      ] as const;
      await expect(place(files, `rm "$STAGE/files${at('etc/.second.meshlift')}"`)).rejects.toMatchObject({
        code: 70,
        stderr: expect.stringMatching(/cannot put the files in place: .*second/s) as unknown,
      });
      expect(readdirSync(at('etc'))).toEqual([]);
    });
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

  describe('with tools of its own', () => {
    /** A tool that stands before the machine's; it writes its arguments to `called`. */
    const tool = (name: string, body: string): void => {
      mkdirSync(at('bin'), { recursive: true });
      writeFileSync(at('bin', name), `#!/bin/sh\necho "${name} $*" >>${quote(at('called'))}\n${body}\n`, {
        mode: 0o755,
      });
    };
    /** busybox takes its own applets before anything of PATH, but not before functions. */
    const preferTools = (): string => {
      const plain = existsSync(at('bin')) ? readdirSync(at('bin')).filter((name) => /^[a-z]+$/.test(name)) : [];
      const functions = plain.map((name) => `${name}() { ${quote(at('bin', name))} "$@"; }`);
      return [...functions, `PATH=${quote(at('bin'))}:$PATH`].join('\n');
    };
    const called = (): string => (existsSync(at('called')) ? readFileSync(at('called'), 'utf8') : '');
    const withTools = (names: readonly string[], snippet: string): Promise<string> =>
      runShell(
        shell,
        `${preferTools()} STATE=${quote(at('state'))} RUN=${quote(at('run'))} STAGE=${quote(at('stage'))}
${names.map(readScript).join('\n')}\n${snippet}`,
      );
    const applying = (snippet: string): Promise<string> =>
      withTools(['common', 'journal', 'changes', 'package', 'proxy'], `open_journal\n${snippet}`);
    const undo = (environment = ''): Promise<string> =>
      runShell(
        shell,
        `${preferTools()} STATE=${quote(at('state'))} RUN=${quote(at('run'))} ${environment}
export PATH STATE RUN MESHLIFT_TRIES\n${readScript('undo')}`,
      );
    const journal = (...entries: readonly string[]): void => {
      mkdirSync(at('state', 'before'), { recursive: true });
      put('state/journal', entries.map((entry, index) => `${index + 1}\t${entry}\n`).join(''));
    };

    test('an undo waits for a package manager that is at work, and goes on where it stopped', async () => {
      tool('systemctl', 'exit 0');
      tool('dpkg-query', 'exit 0');
      tool('dpkg', `echo 'dpkg: error: dpkg frontend lock was locked by another process' >&2; exit 2`);
      journal('package\tistio-sidecar');
      await expect(undo('MESHLIFT_TRIES=2')).rejects.toMatchObject({ code: 72 });
      expect(called().match(/dpkg --purge/g)).toHaveLength(2);
      tool('dpkg', 'exit 0');
      await undo();
      expect(existsSync(at('state'))).toBe(false);
    });

    test('an undo that the package manager refuses for good fails at once', async () => {
      tool('dpkg-query', 'exit 0');
      tool('dpkg', `echo 'dpkg: error processing package' >&2; exit 1`);
      journal('package\tistio-sidecar');
      await expect(undo()).rejects.toMatchObject({ code: 1 });
      expect(called().match(/dpkg --purge/g)).toHaveLength(1);
    });

    test('an undo takes away what a killed write left beside its file', async () => {
      journal(`file\t${at('etc/token')}`, `hosts\t${at('etc/hosts')}`);
      for (const name of ['etc/hosts', 'state/before/2']) put(name, 'localhost\n');
      for (const name of ['etc/.token.meshlift', 'etc/.hosts.meshlift']) put(name, 'secret');
      await undo();
      expect(readdirSync(at('etc'))).toEqual(['hosts']);
    });

    const units: readonly (readonly [before: string, verb: string])[] = [
      ['enabled inactive', 'enable'],
      ['disabled inactive', 'disable'],
      ['unknown inactive', 'disable'],
    ];
    test.each(units)('a unit that was %s ends %sd', async (before, verb) => {
      tool('systemctl', `case "$1" in show) echo LoadState=loaded ;; esac`);
      journal('unit\tistio.service');
      put('state/before/1', `${before}\n`);
      await undo();
      expect(called()).toContain(`systemctl ${verb} --quiet istio.service`);
      expect(called()).toContain('systemctl stop istio.service');
    });

    test('another version of the package that Meshlift did not install is not replaced', async () => {
      tool('dpkg-query', String.raw`printf 'hi \t1.29.2-1\n'`);
      put('stage/0', 'package');
      const install = `install_package 0 istio-sidecar 1.30.0 ab istio-sidecar-1.30.0.deb`;
      await expect(applying(install)).rejects.toMatchObject({
        code: 70,
        stderr: expect.stringContaining('istio-sidecar 1.29.2-1 is installed') as unknown,
      });
      expect(readFileSync(at('state/journal'), 'utf8')).toBe('');
      await expect(applying(`record package istio-sidecar; ${install}`)).rejects.toMatchObject({
        stderr: expect.stringContaining('did not arrive whole') as unknown,
      });
      tool('dpkg-query', String.raw`printf 'hi \t1.30.0-1\n'`);
      await applying(install);
    });

    test('what answered before is looked at three times, and its loss takes the redirection back at once', async () => {
      mkdirSync(at('state/bin'), { recursive: true });
      put('state/bin/dead-man', `echo "dead-man $*" >>${quote(at('called'))}`);
      tool('sleep', '');
      put('run/answering', '127.0.0.1 1\n');
      await expect(applying('require_what_answered')).rejects.toMatchObject({
        code: 75,
        stderr: expect.stringContaining('port 1 on 127.0.0.1 does not answer any more') as unknown,
      });
      expect(called()).toBe('sleep 1\nsleep 1\ndead-man now\n');
      put('run/answering', '');
      await applying('require_what_answered');
    });

    test('a flavour of iptables that the machine lost is chosen anew, where rules are about to be made', async () => {
      const script = renderCaptureScript().replace('state=/var/lib/meshlift', `state=${quote(at('etc'))}`);
      const [functions = ''] = script.split(/^load_environment$/m);
      const choose = (verb: string): Promise<string> =>
        runShell(shell, `${preferTools()}\n${functions}\nchoose_flavour ${verb}; echo "$flavour$suffix"`);
      tool('iptables-legacy-save', 'exit 1');
      tool('iptables-legacy', 'exit 1');
      tool('iptables-nft', 'exit 0');
      put('etc/iptables', 'legacy\n');
      expect(await choose('off')).toBe('legacy-legacy\n');
      expect(readFileSync(at('etc/iptables'), 'utf8')).toBe('legacy\n');
      expect(await choose('on')).toBe('nft-nft\n');
      expect(readFileSync(at('etc/iptables'), 'utf8')).toBe('nft\n');
      expect(await choose('on')).toBe('nft-nft\n');
      rmSync(at('etc/iptables'));
      expect(await choose('status')).toBe('nft-nft\n');
    });

    test('connections count once a caller, and say their direction', async () => {
      const listening = ['State Q S Local Peer', 'LISTEN 0 128 *:8080 *:*', 'LISTEN 0 128 [::]:22 [::]:*'];
      const established = [
        'Q S Local Peer Process',
        '0 0 10.0.0.5:8080 10.0.0.9:40001 users:(("app",pid=1,fd=3))',
        '0 0 [::ffff:10.0.0.5]:8080 [::ffff:10.0.0.9]:40002 users:(("app",pid=1,fd=4))',
        '0 0 [2001:db8::5]:8080 [2001:db8::9]:40003',
        '0 0 10.0.0.5:50123 10.0.0.7:5432 users:(("app",pid=1,fd=5))',
        '0 0 127.0.0.1:8080 127.0.0.1:40004',
        '0 0 10.0.0.5:8080 10.0.0.5:40005',
      ];
      put('listening', `${listening.join('\n')}\n`);
      put('established', `${established.join('\n')}\n`);
      tool('ss', `case "$1" in -ltn) cat ${quote(at('listening'))} ;; *) cat ${quote(at('established'))} ;; esac`);
      expect((await withTools(['common', 'network'], 'inspect_connections')).split('\n')).toEqual([
        'connection\tin 10.0.0.5:8080 10.0.0.9 app',
        'connection\tin [2001:db8::5]:8080 2001:db8::9 ',
        'connection\tout 10.0.0.5 10.0.0.7:5432 app',
        '',
      ]);
    });

    test('rules of others that redirect are told apart from those of Istio', async () => {
      const rules = [
        '*nat',
        '-A PREROUTING -p tcp -j ISTIO_INBOUND',
        '-A ISTIO_OUTPUT -j REDIRECT',
        '-A OUTPUT -j DNAT',
      ];
      put('rules', `${rules.join('\n')}\n`);
      expect(await withTools(['common', 'network'], `redirect_rules <${quote(at('rules'))}`)).toBe(
        'redirection\t-A PREROUTING -p tcp -j ISTIO_INBOUND\nredirect\t-A OUTPUT -j DNAT\n',
      );
    });

    test('a server that speaks first is told apart from one that waits, and a target that answers from one that does not', async () => {
      // A look that has seen enough leaves at once.
      const ignore = (): void => undefined;
      const greets = createServer((socket) => socket.on('error', ignore).end('220 ready\r\n'));
      const waits = createServer((socket) => socket.on('error', ignore).on('data', ignore));
      // gRPC is HTTP/2: the server sends its settings at once, and its client does not wait for them.
      const http2 = createHttp2Server().on('sessionError', ignore);
      const binary = createServer((socket) => socket.on('error', ignore).end(Buffer.from([0, 0, 9, 10, 0])));
      const servers = [greets, waits, http2, binary];
      const ports = await Promise.all(
        servers.map(async (server) => {
          await once(server.listen(0, '127.0.0.1'), 'listening');
          return (server.address() as AddressInfo).port;
        }),
      );
      const [greeting = 0, waiting = 0, , speaking = 0] = ports;
      const lines = [22, ...ports].map(
        (port) => `LISTEN 0 128 0.0.0.0:${port} *:* users:((${port === 22 ? '"sshd"' : '"app"'}))`,
      );
      put('listening', `${['header', ...lines, `LISTEN 0 128 127.0.0.1:1 *:*`].join('\n')}\n`);
      tool('ss', `cat ${quote(at('listening'))}`);
      tool('bash', 'exec /bin/bash "$@"');
      const said = await withTools(['common', 'network'], `probe yes '127.0.0.1:${waiting} 127.0.0.1:1'`);
      for (const server of servers) server.close();
      expect(said.trim().split('\n').sort()).toEqual(
        [
          `serverFirst\t${greeting}`,
          `serverFirst\t${speaking}`,
          `target\t127.0.0.1:${waiting} reached`,
          'target\t127.0.0.1:1 refused',
        ].sort(),
      );
    });

    test('confirmation and dead man never both win', async () => {
      tool('systemctl', '');
      mkdirSync(at('state/bin'), { recursive: true });
      writeFileSync(at('state/bin/capture'), `#!/bin/sh\necho "capture $*" >>${quote(at('called'))}\n`, {
        mode: 0o755,
      });
      const disarm = 'if disarm_dead_man; then echo confirmed; else echo ran out; fi';
      const deadMan = (...args: readonly string[]): Promise<string> =>
        runShell(
          shell,
          `${preferTools()}\n${readScript('dead-man')
            .replaceAll('/run/meshlift', at('run'))
            .replaceAll('/var/lib/meshlift', at('state'))}`,
          args,
        );
      expect(await applying(disarm)).toBe('confirmed\n');
      put('run/dead-man', '0\n');
      expect(await applying(disarm)).toBe('confirmed\n');
      await deadMan();
      await deadMan('now');
      expect(called()).toBe('');
      put('run/dead-man', '0\n');
      await deadMan();
      expect(called()).toContain('capture off');
      expect(await applying(disarm)).toBe('ran out\n');
      // Killed while it put things back: its next run does that to the end.
      rmSync(at('called'));
      rmSync(at('state/dead-man-fired'));
      put('run/dead-man.firing', '0\n');
      expect(await applying(disarm)).toBe('ran out\n');
      await deadMan();
      expect(called()).toContain('capture off');
      expect(existsSync(at('run/dead-man.firing'))).toBe(false);
    });
  });
});
