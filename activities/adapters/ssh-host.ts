/**
 * HostPort over SSH: one connection and one exec per call, the script as the command and only the tar on standard input.
 */
import { createHash } from 'node:crypto';

import type { Host } from '../../api/schemas/machine.ts';
import { failure } from '../failures.ts';
import type {
  HostApply,
  HostApplyResult,
  HostPort,
  LocatedHost,
  MachineFacts,
  Probes,
  Traffic,
} from '../ports/host-port.ts';
import { type HostAnswer, parseAnswer, parseApplyResult, parseFacts, parseTraffic } from './host-answer.ts';
import { hostCommand, readScript } from './host-command.ts';
import { scriptFailure } from './host-failures.ts';
import { packHostPlan, type Payload, renderHostPlan, stagedName } from './host-plan.ts';
import { locateHost } from './locate-host.ts';
import { callThrough } from './mesh-call.ts';
import {
  describeEndpoint,
  openConnection,
  type ReadCredential,
  readFingerprint,
  type SshConnection,
} from './ssh-connection.ts';

/** Operation and step name files on the machine. */
const safeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/** Builds the port; `readCredential` reads the Secret a host names, anew for each connection. */
export function sshHostPort(readCredential: ReadCredential): HostPort {
  const withConnection = async <T>(
    host: LocatedHost,
    signal: AbortSignal,
    use: (connection: SshConnection) => Promise<T>,
  ): Promise<T> => {
    const connection = await openConnection(host, readCredential, signal);
    try {
      return await use(connection);
    } finally {
      connection.close();
    }
  };

  return {
    locate: locateHost,

    inspect: (host, paths, signal, probes = {}) =>
      withConnection(host, signal, async (connection): Promise<MachineFacts> => {
        const args = [closenessOf(probes), (probes.targets ?? []).join(' '), ...paths];
        const began = Date.now();
        const result = await connection.exec(hostCommand(host.user, 'inspect', args));
        if (result.code !== 0) throw scriptFailure(result, describeEndpoint(host));
        return parseFacts(answerOf(result.stdout, host), {
          hostKeyFingerprint: connection.fingerprint,
          reachedAt: host.ip,
          began,
          ended: Date.now(),
        });
      }),

    apply: (host, apply, signal) =>
      withConnection(host, signal, async (connection): Promise<HostApplyResult> => {
        const isWriteOnly = apply.changes.every(({ kind }) => kind === 'WriteFile' || kind === 'WriteHostsBlock');
        const command = hostCommand(host.user, isWriteOnly ? 'write' : 'apply', applyArguments(apply));
        const result = await connection.exec(command, packHostPlan(renderHostPlan(apply.changes), standaloneScripts()));
        if (result.code !== 0) throw scriptFailure(result, describeEndpoint(host));
        const answer = answerOf(result.stdout, host);
        refuseOtherContent(apply, answer['written'] ?? [], host);
        return parseApplyResult(answer);
      }),

    watchTraffic: (host, signal) =>
      withConnection(host, signal, async (connection): Promise<Traffic> => {
        const result = await connection.exec(hostCommand(host.user, 'traffic', []));
        if (result.code !== 0) throw scriptFailure(result, describeEndpoint(host));
        return parseTraffic(answerOf(result.stdout, host));
      }),

    readProxyMetrics: (host, signal) =>
      withConnection(host, signal, async (connection): Promise<string> => {
        const result = await connection.exec(hostCommand(host.user, 'metrics', []));
        if (result.code !== 0) throw scriptFailure(result, describeEndpoint(host));
        return result.stdout;
      }),

    callFrom: (host, call, times, signal) =>
      withConnection(host, signal, async (connection) => {
        const statuses: number[] = [];
        while (statuses.length < times) statuses.push(await callThrough(connection, call, signal));
        return statuses;
      }),

    readHostKey: (host, signal) => readFingerprint(host, readCredential, signal),
  };
}

/** The machine tells the digest of each file that it wrote, read back from there: `<sha256>  <path>`. */
function refuseOtherContent({ changes }: HostApply, written: readonly string[], host: Host): void {
  const found = new Map(written.map((line) => [line.slice(66), line.slice(0, 64)]));
  for (const change of changes) {
    // A certificate set has a second writer, which may have been there meanwhile.
    if (change.kind !== 'WriteFile' || change.compare === 'certificateSet') continue;
    const digest = found.get(change.path);
    if (digest === undefined || digest === createHash('sha256').update(change.content).digest('hex')) continue;
    const where = `${change.path} on ${describeEndpoint(host)}`;
    throw failure('HostCommandFailed', `${where} is not what was just written there; see what else writes it`);
  }
}

function applyArguments(apply: HostApply): readonly string[] {
  if (!safeName.test(apply.operation) || !safeName.test(apply.step)) {
    throw new TypeError(`Operation ${apply.operation} or step ${apply.step} cannot name a file on a machine`);
  }
  return [
    apply.operation,
    String(apply.fence),
    apply.step,
    apply.rewrite === true ? 'again' : 'once',
    apply.owner ?? '',
  ];
}

/** The scripts that stay on the machine and work without Meshlift. */
function standaloneScripts(): Payload[] {
  const staged = (path: string, script: string): Payload => ({
    ...{ name: stagedName(path), mode: '0700', text: readScript(script) },
  });
  return [staged('/var/lib/meshlift/undo.sh', 'undo'), staged('/var/lib/meshlift/bin/dead-man', 'dead-man')];
}

function answerOf(stdout: string, host: Host): HostAnswer {
  const answer = parseAnswer(stdout);
  if (answer !== undefined) return answer;
  const sample = JSON.stringify(stdout.slice(0, 80));
  throw failure(
    'HostCommandFailed',
    `${describeEndpoint(host)} gave no whole answer but ${sample}; does its login shell run commands itself?`,
  );
}

/** How closely the script looks; the closest includes the others. */
function closenessOf({ serverFirst, policy, callers }: Probes): 'yes' | 'policy' | 'callers' | 'no' {
  if (serverFirst === true) return 'yes';
  if (policy === true) return 'policy';
  return callers === true ? 'callers' : 'no';
}
