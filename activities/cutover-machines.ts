/** Activities of a migration around the machines that it moves the traffic away from. */
import { ApplicationFailure, Context } from '@temporalio/activity';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ulid } from 'ulid';

import type { Host, Machine } from '../api/schemas/machine.ts';
import type { Operation } from '../api/schemas/operation.ts';
import type { Accepted, OffboardRequest } from '../workflows/messages.ts';
import type { Counters } from '../workflows/plan/cutover-analysis.ts';
import { servesClients } from '../workflows/plan/cutover-checks.ts';
import { admitHost } from './admit-host.ts';
import { known, readMachine } from './entity-calls.ts';
import { failure } from './failures.ts';
import type { ClusterPort } from './ports/cluster-port.ts';
import type { CutoverPort, EntriesQuery } from './ports/cutover-port.ts';
import type { HostPort } from './ports/host-port.ts';
import { podsSubset, targetHeader } from './render/cutover-routes.ts';
import { inboundCounters } from './render/proxy-counters.ts';

interface OnHost {
  readonly namespace: string;
  readonly name: string;
  readonly host: Host;
}

interface SmokeInput extends OnHost {
  /** Fully qualified name of the Service. */
  readonly service: string;
  readonly port: number;
  readonly path: string;
  readonly requests: number;
}

interface MachineActivityPorts {
  readonly cluster: ClusterPort;
  readonly cutover: CutoverPort;
  readonly host: HostPort;
  readonly hostCidrs?: readonly string[];
}

export function cutoverMachineActivities(ports: MachineActivityPorts) {
  const { cluster, cutover } = ports;

  return {
    /** What the proxies of these machines have counted of requests to them; one that cannot be asked is left out. */
    async readMachineCounters({ machines }: { machines: readonly OnHost[] }): Promise<Counters> {
      const { cancellationSignal, log } = Context.current();
      const read = machines.map(async (machine) => {
        try {
          const host = await admitHost(ports, machine);
          const text = await ports.host.readProxyMetrics(host, cancellationSignal);
          return [[machine.name, inboundCounters(text)] as const];
        } catch (error) {
          cancellationSignal.throwIfAborted();
          const { message } = error instanceof Error ? error : new Error(String(error));
          log.warn('A machine cannot be asked what it has served', { machine: machine.name, message });
          return [];
        }
      });
      return Object.fromEntries((await Promise.all(read)).flat());
    },

    /** Throws `NoMachineServes` unless istiod gives a machine of the group to clients: registered, healthy and not drained. */
    async verifyMachineServes(input: EntriesQuery): Promise<void> {
      const entries = await cutover.listEntries(input);
      if (entries.some(servesClients)) return;
      const why = entries.length === 0 ? 'none is registered' : 'each is drained or unhealthy';
      throw failure(
        'NoMachineServes',
        `No machine of WorkloadGroup ${input.namespace}/${input.workloadGroup} serves (${why}): the traffic stays with the pods until one does; start a machine, or undrain it`,
      );
    },

    /** Throws `SmokeFailed` unless every request from this machine that only pods get is answered below 400. */
    async smokeTest(input: SmokeInput): Promise<void> {
      const host = await admitHost(ports, input);
      const { service, port, path, requests } = input;
      const call = { host: service, port, path, headers: { [targetHeader]: podsSubset } };
      const statuses = await ports.host.callFrom(host, call, requests, Context.current().cancellationSignal);
      const failed = statuses.findIndex((status) => status >= 400);
      if (failed === -1) return;
      throw failure(
        'SmokeFailed',
        `Pods answered ${statuses[failed] ?? 0} to GET ${path} of ${service}:${port} (request ${failed + 1} of ${requests}, from ${input.namespace}/${input.name}); see their logs, or name another path with smoke`,
      );
    },

    /** Throws `NotSilent` where a request reached the machine within the last second. */
    async verifySilent(input: OnHost & { service: string }): Promise<void> {
      const host = await admitHost(ports, input);
      const { came, active, senders } = await ports.host.watchTraffic(host, Context.current().cancellationSignal);
      if (came === 0 && active === 0) return;
      const who = senders.length === 0 ? '' : ` from ${senders.slice(0, NAMED).join(', ')}`;
      throw failure(
        'NotSilent',
        `Machine ${input.namespace}/${input.name} still serves${who}; move these callers to Service ${input.service}, or roll back`,
      );
    },

    /** Keeps a machine for this operation. Failure type: `MachineClaimed`, where another one has it or it is not in the mesh. */
    async claimMachine({ namespace, name, by }: { namespace: string; name: string; by: string }): Promise<void> {
      const entity = Context.current().client.workflow.getHandle(`machine/${namespace}/${name}`);
      try {
        await entity.executeUpdate('claim', { args: [by] });
      } catch (error) {
        if (!(error instanceof WorkflowUpdateFailedError)) throw error;
        throw failure('MachineClaimed', error.cause?.message ?? error.message, error);
      }
    },

    /** Asks the machine's entity to offboard, by an update that asks once however often it is sent. A machine that is gone has left. */
    async retireMachine(input: {
      namespace: string;
      name: string;
      updateId: string;
      migration: string;
    }): Promise<{ readonly operationId?: string }> {
      const { namespace, name, updateId, migration } = input;
      const entity = Context.current().client.workflow.getHandle(`machine/${namespace}/${name}`);
      const operationId = `offboard-${namespace}-${name}-${ulid()}`;
      const request: OffboardRequest = { operationId, bodyDigest: migration, migration };
      const ask = () => entity.executeUpdate<Accepted, [OffboardRequest]>('offboard', { updateId, args: [request] });
      try {
        return (await known(ask)) ?? {};
      } catch (error) {
        const cause = error instanceof WorkflowUpdateFailedError ? error.cause : undefined;
        if (cause instanceof ApplicationFailure && cause.type === 'MachineNotFound') return {};
        throw error;
      }
    },

    /** Throws `NotLeft` while the offboarding runs; fails for good where it did not succeed. */
    async verifyLeft({ operationId }: { operationId: string }): Promise<void> {
      const handle = Context.current().client.workflow.getHandle(operationId);
      const described = await known(() => handle.describe());
      if (described === undefined || described.status.name === 'RUNNING') {
        throw failure(
          'NotLeft',
          `Operation ${operationId} has not ended; GET /v1/operations/${operationId} says how far it is`,
        );
      }
      const operation = described.memo?.['operation'] as Operation | undefined;
      if (operation?.phase === 'Succeeded') return;
      throw failure(
        'RetireFailed',
        `Operation ${operationId} ended as ${operation?.phase ?? described.status.name}: ${operation?.message ?? ''}`,
      );
    },

    /** The machines of a group that Meshlift looks after, with the hosts that they are on. */
    async readGroupMachines(input: { namespace: string; workloadGroup: string }): Promise<readonly Machine[]> {
      const names = await cluster.listGroupMachines(input.namespace, input.workloadGroup);
      const machines = await Promise.all(names.map((name) => readMachine(input.namespace, name)));
      return machines.flatMap((machine) => (machine === undefined ? [] : [machine]));
    },
  };
}

/** So many are named in a message. */
const NAMED = 10;
