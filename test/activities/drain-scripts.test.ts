/** What a drain reads and writes on a machine, under every shell that may be its sh; proxy and systemd are played by functions. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { parseAnswer } from '../../activities/adapters/host-answer.ts';
import { quote, readScript } from '../../activities/adapters/host-command.ts';
import { fetchBefore, runShell, type ShellName } from '../support/shells.ts';

const library = ['common', 'journal', 'changes', 'proxy', 'drain', 'traffic'].map(readScript).join('\n');

const clusters = `inbound|8080||::10.0.0.1:8080::rq_active::2
inbound|8080||::10.0.0.1:8080::rq_total::40
inbound|8080||::default_priority::max_requests::4294967295
InboundPassthroughCluster::[fd00::1]:7070::rq_active::1
InboundPassthroughCluster::[fd00::1]:7070::rq_active::3
InboundPassthroughCluster::[fd00::1]:7070::rq_total::4
outbound|80||orders.shop.svc.cluster.local::10.0.0.2:8080::rq_active::9
outbound|80||orders.shop.svc.cluster.local::10.0.0.2:8080::rq_error::5
outbound|80||orders.shop.svc.cluster.local::10.0.0.2:8080::cx_connect_fail::1`;

const metrics = `# TYPE istio_requests_total counter
istio_requests_total{reporter="destination",connection_security_policy="mutual_tls"} 7
istio_requests_total{reporter="destination",connection_security_policy="none"} 100
istio_requests_total{reporter="source",connection_security_policy="mutual_tls"} 50
istio_tcp_connections_opened_total{reporter="destination",connection_security_policy="mutual_tls"} 2`;

describe.each<ShellName>(['dash', 'bash', 'busybox'])('%s', (shell) => {
  fetchBefore(shell);
  let folder = '';
  const at = (...path: string[]): string => join(folder, ...path);
  const run = (snippet: string): Promise<string> =>
    runShell(
      shell,
      `STATE=${quote(at('state'))} RUN=${quote(at('run'))} STAGE=${quote(at('stage'))}\n${library}\n${snippet}`,
    );
  const told = async (snippet: string) =>
    parseAnswer(await run(`echo "$ANSWER_BEGINS"; ${snippet}\necho "$ANSWER_ENDS"`));
  const played = (metricLines: string): string =>
    `proxy_request() { case "$2" in clusters) echo ${quote(clusters)} ;; *) echo ${quote(metricLines)} ;; esac; }`;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'meshlift-drain-scripts-'));
    for (const name of ['stage', 'run', 'state']) mkdirSync(at(name));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test("the counters are of the machine's own traffic, whatever the workers and families", async () => {
    expect(await told(`${played(metrics)}\ncounters`)).toEqual({
      proxyUp: ['yes'],
      active: ['6'],
      total: ['44'],
      outboundFailed: ['6'],
      overMtls: ['9'],
    });
  });

  test('a proxy without metrics of its own says nothing of mTLS, and one that is down nothing at all', async () => {
    expect(await run(`${played('')}\ncounters`)).not.toContain('overMtls');
    expect(await run('proxy_request() { return 1; }\ncounters')).not.toContain('proxyUp');
  });

  test('senders are those whose connections are new or went on', async () => {
    const before = '10.0.0.1:4000 10\n10.0.0.2:4000 20\n[fd00::5]:4000 5';
    const after = '10.0.0.1:4000 10\n10.0.0.2:4000 21\n10.0.0.3:4000 1\n[fd00::5]:4000 6\n[::ffff:10.0.0.4]:1 1';
    const { sender = [] } = (await told(`senders ${quote(before)} ${quote(after)}`)) ?? {};
    expect([...sender].sort()).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4', 'fd00::5']);
  });

  test('a hold names its operation, is written once, and goes with the start file', async () => {
    const held = `: >"$STAGE/result"; hold_machine drain-1; hold_machine drain-1; cat "$STAGE/result"`;
    // Only root may give a file to root.
    const asAnyone = 'install() { mkdir -p "${9%/*}" && cp "$8" "$9"; }';
    expect((await run(`${asAnyone}\nopen_journal; ${held}`)).match(/Hold /g)).toHaveLength(1);
    expect(readFileSync(at('state', 'hold'), 'utf8')).toBe('drain-1\n');
    await run(`: >"$STAGE/result"; : >"$RUN/start"; release_hold`);
    expect([existsSync(at('state', 'hold')), existsSync(at('run', 'start'))]).toEqual([false, false]);
  });
});
