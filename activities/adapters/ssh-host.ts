/** HostPort over SSH: one connection per call, one exec each, the script as the command and only the tar on standard input. */
import type { Host } from '../../api/schemas/machine.ts';
import { failure } from '../failures.ts';
import type { HostApply, HostApplyResult, HostPort, MachineFacts } from '../ports/host-port.ts';
import { type HostAnswer, parseApplyResult, parseFacts } from './host-answer.ts';
import { hostCommand, readScript } from './host-command.ts';
import { scriptFailure } from './host-failures.ts';
import { packHostPlan, renderHostPlan } from './host-plan.ts';
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
    host: Host,
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
    inspect: (host, paths, signal) =>
      withConnection(host, signal, async (connection): Promise<MachineFacts> => {
        const result = await connection.exec(hostCommand(host.user, 'inspect', paths));
        if (result.code !== 0) throw scriptFailure(result, describeEndpoint(host));
        return parseFacts(parseAnswer(result.stdout, host), connection.fingerprint, host.address);
      }),

    apply: (host, apply, signal) =>
      withConnection(host, signal, async (connection): Promise<HostApplyResult> => {
        const command = hostCommand(host.user, 'apply', applyArguments(apply));
        const tar = packHostPlan(renderHostPlan(apply.changes), standaloneScripts());
        const result = await connection.exec(command, tar);
        if (result.code !== 0) throw scriptFailure(result, describeEndpoint(host));
        return parseApplyResult(parseAnswer(result.stdout, host));
      }),

    readHostKey: (host, signal) => readFingerprint(host, readCredential, signal),
  };
}

function applyArguments(apply: HostApply): readonly string[] {
  if (!safeName.test(apply.operation) || !safeName.test(apply.step)) {
    throw new TypeError(`Operation ${apply.operation} or step ${apply.step} cannot name a file on a machine`);
  }
  return [apply.operation, String(apply.fence), apply.step, apply.rewrite === true ? 'again' : 'once'];
}

/** The scripts that stay on the machine and work without Meshlift. */
function standaloneScripts(): { name: string; text: string }[] {
  return ['undo', 'dead-man'].map((name) => ({ name: name === 'undo' ? 'undo.sh' : name, text: readScript(name) }));
}

function parseAnswer(stdout: string, host: Host): HostAnswer {
  try {
    return JSON.parse(stdout) as HostAnswer;
  } catch (error) {
    const sample = JSON.stringify(stdout.slice(0, 80));
    throw failure(
      'HostCommandFailed',
      `${describeEndpoint(host)} answered no JSON but ${sample}; does its login shell print a banner?`,
      error,
    );
  }
}
