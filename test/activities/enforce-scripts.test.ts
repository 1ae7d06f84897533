/** What an enforced machine does by itself: what it closes, in which order, and how a change of it is taken back. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { quote, readScript } from '../../activities/adapters/host-command.ts';
import { renderCaptureScript } from '../../activities/render/capture-script.ts';
import { fetchBefore, runShell, type ShellName } from '../support/shells.ts';

describe.each<ShellName>(['dash', 'bash', 'busybox'])('%s', (shell) => {
  fetchBefore(shell);
  let folder = '';
  const at = (...path: string[]): string => join(folder, ...path);
  const put = (name: string, content: string, mode = 0o644): void => {
    writeFileSync(at(name), content, { mode });
  };
  const read = (name: string): string | undefined =>
    existsSync(at(name)) ? readFileSync(at(name), 'utf8') : undefined;
  const called = (): string[] => (read('called') ?? '').split('\n').filter((line) => line !== '');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'meshlift-enforce-'));
    for (const name of ['state/bin', 'run', 'stage']) mkdirSync(at(name), { recursive: true });
    put('state/bin/capture', `#!/bin/sh\necho "capture $*" >>${quote(at('called'))}\n`, 0o755);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  describe('the capture script', () => {
    /** Its functions, then those that would touch the machine replaced, then the snippet. */
    const capture = (snippet: string): Promise<string> => {
      const script = renderCaptureScript().replace('state=/var/lib/meshlift', `state=${quote(at('state'))}`);
      const [functions = ''] = script.split(/^load_environment$/m);
      return runShell(
        shell,
        `${functions}
agent=/bin/false suffix=
sshd_ports() { echo 2222; }
ISTIO_INBOUND_PORTS='*' ISTIO_LOCAL_EXCLUDE_PORTS=22,15021
${snippet}`,
      );
    };

    test('closes every port but the excluded ones, those of sshd, and loopback', async () => {
      put('state/exclude-ports', '2525\n');
      expect((await capture('exclude_ports; closed_rules')).trim().split('\n')).toEqual([
        '*filter',
        ':MESHLIFT_CLOSED - [0:0]',
        '-A MESHLIFT_CLOSED -i lo -j RETURN',
        ...[22, 15021, 2525, 2222].map((port) => `-A MESHLIFT_CLOSED -p tcp --dport ${port} -j RETURN`),
        '-A MESHLIFT_CLOSED -j DROP',
        'COMMIT',
      ]);
    });

    test('closes listed ports alone where a list is captured, and where their connections arrive', async () => {
      put('state/exclude-ports', '9090\n');
      const rules = await capture("ISTIO_INBOUND_PORTS='8080,9090'; exclude_ports; closed_rules");
      expect(rules.match(/dport \d+ -j \w+/g)).toEqual(['dport 15006 -j DROP', 'dport 8080 -j DROP']);
    });

    test('changes exclusions where they stand, those that come before those that go', async () => {
      put('state/exclude-ports', '25\n');
      const said = await capture(`
families() { echo rules; }
rules() {
  case "$*" in
    *' -S '*) for port in 15008 22 15021 2222 2525; do echo "-A ISTIO_INBOUND -p tcp -m tcp --dport $port -j RETURN"; done ;;
    *) echo "$*" ;;
  esac
}
exclude_ports
amend_exclusions`);
      expect(said.trim().split('\n')).toEqual([
        '-w 30 -t nat -I ISTIO_INBOUND 1 -p tcp --dport 25 -j RETURN',
        '-w 30 -t nat -D ISTIO_INBOUND -p tcp --dport 2525 -j RETURN',
      ]);
    });

    const orders: readonly (readonly [string, boolean, string, string[]])[] = [
      ['observed, opens', false, 'off', ['clean', 'open']],
      ['enforced, is closed before it cleans', true, 'off', ['close', 'clean']],
      ['enforced and leaving, opens', true, 'off forever', ['clean', 'open']],
    ];
    test.each(orders)('off: %s', async (_, isEnforced, verb, expected) => {
      if (isEnforced) put('state/enforce', 'enforce\n');
      const said = await capture(`
close_ports() { echo close; }
open_ports() { echo open; }
jumps() { if [ ! -e ${quote(at('cleaned'))} ]; then echo jump; fi; }
remove_leftovers() { echo clean; : >${quote(at('cleaned'))}; }
${verb}`);
      expect(said.trim().split('\n')).toEqual(expected);
    });
  });

  describe('what is read of a proxy', () => {
    const inspect = async (proxy: string, snippet: string): Promise<string[]> => {
      const script = `${['common', 'policy'].map(readScript).join('\n').replaceAll('[ -x /usr/local/bin/pilot-agent ]', ':')}
unit_property() { echo active; }
proxy_request() { cat <<'END'\n${proxy}\nEND\n}
${snippet}`;
      return (await runShell(shell, script)).trim().split('\n');
    };
    const listener = (name: string, inside: string): string =>
      `"name": "${name}",\n"active_state": {\n${inside}\n},\n"draining_state": {\n"transport_protocol": "raw_buffer"\n"cluster": "PassthroughCluster"\n}`;

    const chain = (...match: readonly string[]): string =>
      `"filter_chain_match": {\n${match.join(',\n')}\n},\n"filters": [\n"emit_filter_state": true\n],`;

    test('is where it takes plaintext: a port that has a chain of its own is told apart', async () => {
      const chains = [
        chain('"destination_port": 15006'),
        chain('"transport_protocol": "tls"', '"destination_port": 8080'),
        chain('"destination_port": 2525', '"transport_protocol": "raw_buffer"', '"application_protocols": ["h2c"]'),
        chain('"transport_protocol": "raw_buffer"', '"destination_port": 2525'),
      ].join('\n');
      const dump = listener('virtualInbound", "virtualOutbound', chains);
      expect(await inspect(dump, 'inspect_policy')).toEqual(['policy\tread', 'plaintext\t2525']);
    });

    test('is the listener that is active, not one that drains', async () => {
      const strict = 'ns[shop]-policy[meshlift-orders-1]-rule[0]';
      const dump = listener('virtualInbound', `"name": "virtualOutbound"\n"${strict}"`);
      expect(await inspect(dump, 'inspect_policy')).toEqual(['policy\tread', 'authorization\tshop/meshlift-orders-1']);
      const open = listener(
        'virtualInbound", "virtualOutbound',
        `${chain('"transport_protocol": "raw_buffer"')}\n"cluster": "PassthroughCluster"`,
      );
      expect(await inspect(open, 'inspect_policy')).toEqual([
        'policy\tread',
        'plaintext\t*',
        'policy\treachesAnything',
      ]);
      expect(await inspect('', 'inspect_policy')).toEqual(['']);
    });

    test('is what it counted of plaintext, where it counts', async () => {
      const metric = (name: string, policy: string, value: number): string =>
        `istio_${name}_total{reporter="destination",connection_security_policy="${policy}"} ${value}`;
      const counted = [
        metric('requests', 'mutual_tls', 9),
        metric('requests', 'none', 3),
        metric('tcp_connections_opened', 'none', 2),
      ].join('\n');
      expect(await inspect(counted, 'inspect_plaintext')).toEqual(['plaintextServed\t5']);
      expect(await inspect(metric('requests', 'mutual_tls', 9), 'inspect_plaintext')).toEqual(['plaintextServed\t0']);
      expect(await inspect('envoy_up 1', 'inspect_plaintext')).toEqual(['']);
    });

    test('is where it sends what no service holds', async () => {
      const hosts = [
        'PassthroughCluster::198.51.100.7:443::cx_total::4',
        'PassthroughCluster::[2001:db8::7]:443::cx_total::1',
      ];
      const others = [
        'PassthroughCluster::default_priority::max_connections::9',
        'outbound|80||a::192.0.2.1:80::cx_total::1',
      ];
      expect(await inspect([...hosts, ...others].join('\n'), 'inspect_passthrough')).toEqual([
        'passthrough\t198.51.100.7:443',
        'passthrough\t[2001:db8::7]:443',
      ]);
    });

    test('is who called which port, once each, by connection tracking', async () => {
      const flow = (from: string, to: string, port: number, state = 'ESTABLISHED'): string =>
        `ipv4 2 tcp 6 99 ${state} src=${from} dst=${to} sport=4242 dport=${port} src=${to} dst=${from} sport=15006 dport=4242 mark=0`;
      const own = '192.0.2.11';
      const table = [
        flow('192.0.2.99', own, 8080),
        flow('192.0.2.99', own, 8080, 'TIME_WAIT'),
        flow('192.0.2.98', own, 8080, 'SYN_SENT'),
        flow(own, '198.51.100.7', 443),
        flow('127.0.0.6', own, 8080),
        flow('192.0.2.1', '192.0.2.2', 1),
        'ipv4 2 udp 17 9 src=192.0.2.99 dst=192.0.2.11 sport=1 dport=53',
        'ipv6 10 tcp 6 9 ESTABLISHED src=2001:db8::9 dst=2001:db8::11 sport=1 dport=25 src=2001:db8::11 dst=2001:db8::9',
      ].join('\n');
      put('table', table);
      const snippet = `hostname() { echo '${own} 2001:db8::11'; }\ncat() { command cat ${quote(at('table'))}; }\ninspect_flows`;
      expect(await inspect('', snippet)).toEqual([
        `flow\tin ${own}:8080 192.0.2.99`,
        `flow\tout ${own} 198.51.100.7:443`,
        'flow\tin [2001:db8::11]:25 2001:db8::9',
      ]);
    });
  });

  test('the dead man puts flag and list back and redirects anew, and the proxy runs on', async () => {
    mkdirSync(at('run/enforcement-before'));
    put('run/enforcement-before/exclude-ports', '2525\n');
    put('run/dead-man', '0\n');
    put('state/enforce', 'enforce\n');
    put('state/exclude-ports', '');
    const script = readScript('dead-man')
      .replaceAll('/run/meshlift', at('run'))
      .replaceAll('/var/lib/meshlift', at('state'));
    await runShell(shell, `systemctl() { echo "systemctl $*" >>${quote(at('called'))}; }\n${script}`);
    expect(called()).toEqual(['capture on']);
    expect([read('state/enforce'), read('state/exclude-ports')]).toEqual([undefined, '2525\n']);
    expect(existsSync(at('run/enforcement-before'))).toBe(false);
  });

  describe('a change of the isolation', () => {
    const apply = (mode: string, ports: string, seconds: number): Promise<string> => {
      put('stage/0', ports);
      put('stage/result', '');
      return runShell(
        shell,
        `STATE=${quote(at('state'))} RUN=${quote(at('run'))} STAGE=${quote(at('stage'))}
${['common', 'journal', 'changes', 'proxy', 'enforce'].map(readScript).join('\n')}
unit_property() { echo active; }
is_captured() { return 0; }
remember_what_answers() { :; }
arm_dead_man() { echo armed >>${quote(at('called'))}; }
fire_dead_man() { echo fired >>${quote(at('called'))}; }
open_journal
set_enforcement ${mode} 0 ${seconds}`,
      );
    };

    test('writes flag and list, redirects anew under a timer, and keeps what stood before', async () => {
      put('state/exclude-ports', '2525\n');
      await apply('enforce', '', 60);
      expect([read('state/enforce'), read('state/exclude-ports')]).toEqual(['enforce\n', '']);
      expect(called()).toEqual(['armed', 'capture on']);
      expect(read('run/enforcement-before/exclude-ports')).toBe('2525\n');
      expect(read('stage/result')).toContain('changed\tSetEnforcement enforce');
    });

    test('changes nothing where all is as wanted, and goes on with one that was cut off', async () => {
      put('state/enforce', 'enforce\n');
      await apply('enforce', '', 60);
      expect(called()).toEqual([]);
      mkdirSync(at('run/enforcement-before'));
      await apply('enforce', '', 60);
      expect(called()).toEqual(['armed', 'capture on']);
    });

    test('is taken back without a timer, and the timer of before is forgotten', async () => {
      put('state/enforce', 'enforce\n');
      mkdirSync(at('run/enforcement-before'));
      put('run/dead-man', '9\n');
      await apply('observe', '2525\n', 0);
      expect([read('state/enforce'), read('state/exclude-ports')]).toEqual([undefined, '2525\n']);
      expect(called()).toEqual(['capture on']);
      expect([existsSync(at('run/dead-man')), existsSync(at('run/enforcement-before'))]).toEqual([false, false]);
    });

    test('that does not stand is taken back at once', async () => {
      put('state/bin/capture', `#!/bin/sh\necho 'not ready' >&2\nexit 1\n`, 0o755);
      await expect(apply('enforce', '', 60)).rejects.toMatchObject({
        code: 74,
        stderr: expect.stringContaining('not ready') as unknown,
      });
      expect(called()).toEqual(['armed', 'fired']);
    });
  });
});
