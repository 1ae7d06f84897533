/** Activities of a migration. Checks are single looks that throw while the evidence is missing: Temporal's retry is the wait. */
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import { ApplicationFailure, Context } from '@temporalio/activity';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ulid } from 'ulid';

import type { Host, Machine } from '../api/schemas/machine.ts';
import type { Manifest } from '../api/schemas/migration.ts';
import type { Operation } from '../api/schemas/operation.ts';
import type { Accepted, OffboardRequest } from '../workflows/messages.ts';
import type { Counters } from '../workflows/plan/cutover-analysis.ts';
import { nobodyServes } from '../workflows/plan/cutover-checks.ts';
import { routedBeside } from '../workflows/plan/route-checks.ts';
import type { AskedQuery, MetricValues } from '../workflows/plan/metric-queries.ts';
import { type SeenDraining, silentIstiods, unprovenClients } from '../workflows/plan/drain-proof.ts';
import { admitHost } from './admit-host.ts';
import { known, readMachine } from './entity-calls.ts';
import { failure } from './failures.ts';
import type { AppliedObject, ClusterPort, KubernetesObject, ObjectRef } from './ports/cluster-port.ts';
import type { CutoverFacts, CutoverPort, CutoverQuery, EntriesQuery, PodsQuery } from './ports/cutover-port.ts';
import type { HostPort } from './ports/host-port.ts';
import type { MeshPort, PushType } from './ports/mesh-port.ts';
import type { MetricsPort } from './ports/metrics-port.ts';
import {
  type CutoverTarget,
  destinationsOf,
  podsSubset,
  pushAnnotation,
  renderGatewayRoute,
  renderRoutes,
  renderSubsets,
  targetHeader,
} from './render/cutover-routes.ts';
import { guardMessage } from './render/guard-message.ts';
import { unmarked } from './render/manifests.ts';
import { describeObject, refOf } from './render/object-ref.ts';
import { inboundCounters } from './render/proxy-counters.ts';

interface OnHost {
  readonly namespace: string;
  readonly name: string;
  readonly host: Host;
}

export interface SmokeInput extends OnHost {
  /** Fully qualified name of the Service. */
  readonly service: string;
  readonly port: number;
  readonly path: string;
  readonly requests: number;
}

/** What stands otherwise than a migration has written it. */
export type Deviation =
  /** Kind, namespace and name of an object, and the field manager that wrote it last. */
  | { readonly kind: 'RouteEdited'; readonly object: string; readonly by: string }
  /** The same of an object that came to route the Service beside the migration. */
  | { readonly kind: 'RoutedBeside'; readonly object: string; readonly by: string }
  /** Nothing does any more. */
  | { readonly kind: 'RoutedAlone' }
  /** No machine would take the traffic back, and why; without a reason: one would again. */
  | { readonly kind: 'WayBack'; readonly lost?: string }
  /** Pods take traffic, and none of them is ready. */
  | { readonly kind: 'PodsLost'; readonly message: string };

export interface FollowInput {
  readonly target: CutoverTarget;
  readonly workloadGroup: string;
  /** Percent of the traffic to pods. */
  readonly weight: number;
  /** Its objects hold for the whole mesh. */
  readonly rootNamespace?: string;
  /** Others were seen to route the Service: it is told once they do not; default false. */
  readonly isBeside?: boolean;
  /** As it was told last: what differs is told. */
  readonly wayBack?: string;
  /** Routes are edited, and to be left so for now; default false. */
  readonly arePodsAlone?: boolean;
}

export interface ReadyPods {
  readonly addresses: readonly string[];
}

export interface CutoverActivityPorts {
  readonly cluster: ClusterPort;
  readonly cutover: CutoverPort;
  readonly mesh: MeshPort;
  readonly metrics: MetricsPort;
  readonly host: HostPort;
  readonly hostCidrs?: readonly string[];
}

export function cutoverActivities(ports: CutoverActivityPorts) {
  const { cluster, cutover, mesh } = ports;

  return {
    readCutoverFacts: (query: CutoverQuery): Promise<CutoverFacts> => cutover.readFacts(query),

    /** What a migration would own, at its guard. */
    renderCutover: ({ target }: { target: CutoverTarget }): Promise<readonly KubernetesObject[]> =>
      Promise.resolve([renderSubsets(target, 0, ''), renderRoutes(target, 0, '')]),

    /** Subsets of the Service: endpoints of machines, and of pods. `push` makes istiod push, whatever else changed. */
    applySubsets: async (input: {
      target: CutoverTarget;
      weight: number;
      push: string;
    }): Promise<readonly AppliedObject[]> =>
      await cluster.apply([renderSubsets(input.target, input.weight, input.push)]),

    /**
     * `weight` percent to pods, at every client that follows the mesh's routes. Answers with the objects that lead; on the way back a
     * gateway's route that its owner has taken away is none.
     */
    applyRoutes: async (input: {
      target: CutoverTarget;
      weight: number;
      push: string;
    }): Promise<readonly ObjectRef[]> => {
      const { target, weight, push } = input;
      const own = renderRoutes(target, weight, push);
      await cluster.apply([own]);
      const leading = [refOf(own)];
      for (const route of target.gatewayRoutes) {
        const edit = cutover.editRoute(renderGatewayRoute(route, target, weight), push);
        const isThere = weight === 0 ? await unlessGone(edit) : await edit.then(() => true);
        const { namespace, virtualService: name } = route;
        if (isThere) leading.push({ apiVersion: own.apiVersion, kind: own.kind, namespace, name });
      }
      return leading;
    },

    /** Looks every few seconds, and returns what others have changed, or what is lost; undefined after six hours without. */
    async followCutover(input: FollowInput): Promise<Deviation | undefined> {
      const { target, weight, arePodsAlone = false } = input;
      const { cancellationSignal } = Context.current();
      const until = Date.now() + FOLLOW_MS;
      let listAt = 0;
      const wanted = arePodsAlone ? [] : [renderSubsets(target, weight, ''), renderRoutes(target, weight, '')];
      while (Date.now() < until) {
        for (const object of wanted) {
          const found = await cutover.readOwned(refOf(object));
          if (isDeepStrictEqual(found?.spec, object.spec)) continue;
          const by = found?.lastEditor ?? 'somebody who removed it';
          return { kind: 'RouteEdited', object: describeObject(refOf(object)), by };
        }
        const edited = arePodsAlone ? undefined : await editedGatewayRoute(cutover, target, weight);
        if (edited !== undefined) return edited;
        if (Date.now() >= listAt) {
          const changed = (await changedWayBack(cutover, input)) ?? (await changedBeside(cutover, input));
          if (changed !== undefined) return changed;
          listAt = Date.now() + LIST_EVERY_MS;
        }
        const pods =
          weight === 0 ? [] : await cutover.listPods({ namespace: target.namespace, labels: target.podSelector });
        if (weight > 0 && !pods.some(({ isReady }) => isReady)) {
          return {
            kind: 'PodsLost',
            message: `No pod that serves ${target.host} is ready any more (${pods.length} run)`,
          };
        }
        await delay(FOLLOW_EVERY_MS, undefined, { signal: cancellationSignal });
      }
      return undefined;
    },

    /** The gateways' routes as they were before the migration. */
    restoreGatewayRoutes: async ({ target }: { target: CutoverTarget }): Promise<void> => {
      for (const route of target.gatewayRoutes) await unlessGone(cutover.editRoute(route, null));
    },

    /** Throws `RouteNotHeld` until every istiod holds the object as it was last written (`null`: holds none). */
    async verifyHeld({
      refs,
      push,
    }: {
      refs: readonly ObjectRef[];
      push: string | null;
    }): Promise<readonly SeenDraining[]> {
      const looks = (await Promise.all(refs.map(async (ref) => await mesh.readHeld(ref)))).flat();
      const late = looks.filter(({ annotations }) =>
        push === null ? annotations !== undefined : annotations?.[pushAnnotation] !== push,
      );
      if (late.length === 0) return looks.map(({ istiodPod, at }) => ({ istiodPod, at }));
      const pods = late.map(({ istiodPod }) => istiodPod).join(', ');
      const what = refs.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`).join(', ');
      throw failure(
        'RouteNotHeld',
        push === null
          ? `${pods} still holds ${what}, which was removed; see its log`
          : `${pods} does not hold ${what} as it was written; see its log, and whether somebody else writes it`,
      );
    },

    /**
     * Throws `RouteUnacknowledged` until every proxy of the mesh is connected and each client of the host has acknowledged pushes of
     * these types that are later than what was seen, `EvidenceUnavailable` while an istiod pushes nothing.
     */
    async verifyPushed(input: {
      host: string;
      types: readonly PushType[];
      seen: readonly SeenDraining[];
    }): Promise<void> {
      const { host, types, seen } = input;
      const expected = await mesh.listExpectedProxies();
      for (const type of types) {
        const looks = await mesh.readWatchers([host], type);
        const [silent] = silentIstiods({ looks, seen });
        if (silent !== undefined) {
          throw failure(
            'EvidenceUnavailable',
            `istiod ${silent.istiodPod} (version ${silent.version}) has pushed no ${type} since ${host} was routed anew; see its log`,
          );
        }
        const unproven = unprovenClients({ machine: '', expected, looks, seen });
        if (unproven.length === 0) continue;
        const named = unproven.slice(0, NAMED).map(({ proxy, why }) => `${proxy} ${why}`);
        const more = unproven.length > NAMED ? ` and ${unproven.length - NAMED} more` : '';
        throw failure(
          'RouteUnacknowledged',
          `Not every client of ${host} has taken its new ${type}: ${named.join('; ')}${more}; see istioctl proxy-status`,
        );
      }
    },

    /** Throws `GuardIncomplete` while a proxy may send to the Service without asking for one of its sides. */
    async verifyGuarded({ host, ports: numbers }: { host: string; ports: readonly number[] }): Promise<void> {
      const unguarded = await mesh.readUnguarded(host, numbers);
      if (unguarded.length > 0) throw failure('GuardIncomplete', guardMessage(host, unguarded));
    },

    /** What a request brings along, marked as the migration's and without a pod. Failure types: those of the CutoverPort. */
    applyManifests: async ({ manifests }: { manifests: readonly KubernetesObject[] }): Promise<void> => {
      for (const manifest of manifests) await cutover.make(manifest);
    },

    /** What of it the migration has made, and nothing else. */
    removeManifests: async (input: { refs: readonly ObjectRef[]; migration: string }): Promise<void> => {
      for (const ref of input.refs) await cutover.unmake(ref, input.migration);
    },

    /** The same without the migration's marks: their owner's alone. */
    handOverManifests: async (input: {
      namespace: string;
      migration: string;
      manifests: readonly Manifest[];
    }): Promise<void> => {
      const { namespace, migration } = input;
      for (const manifest of input.manifests) {
        const { apiVersion, kind, metadata } = manifest;
        const ref = { apiVersion, kind, namespace, name: metadata.name };
        await cutover.handOver({ ref, migration, labels: unmarked(manifest) });
      }
    },

    scaleDeployment: async (input: { namespace: string; deployment: string; replicas: number }): Promise<number> =>
      await cutover.scale(input.namespace, input.deployment, input.replicas),

    /** Throws `PodsNotReady` until so many pods are ready, each with a proxy that has accepted its configuration. */
    async verifyPodsReady(input: PodsQuery & { replicas: number }): Promise<ReadyPods> {
      const pods = (await cutover.listPods(input)).filter(({ isEnding }) => !isEnding);
      const ready = pods.filter(({ isReady }) => isReady);
      const place = `of namespace ${input.namespace}`;
      if (ready.length < input.replicas) {
        const why = [...new Set(pods.flatMap(({ name, waiting }) => waiting.map((one) => `${name}: ${one}`)))];
        throw failure(
          'PodsNotReady',
          `${ready.length} of ${input.replicas} pods ${place} are ready${why.length === 0 ? '' : ` (${why.slice(0, NAMED).join('; ')})`}; see kubectl describe pod`,
        );
      }
      for (const { name } of ready) {
        const [proxy] = await mesh.readProxy({ namespace: input.namespace, name });
        if (proxy === undefined || proxy.unacknowledged.length > 0 || proxy.rejected.length > 0) {
          const why =
            proxy === undefined ? 'is connected to no istiod' : (proxy.rejected[0] ?? 'has not taken everything');
          throw failure('PodsNotReady', `The proxy of pod ${name} ${place} ${why}; see istioctl proxy-status`);
        }
      }
      return { addresses: ready.flatMap(({ address }) => address ?? []) };
    },

    /** Throws `EndpointNotGivenOut` until every istiod gives these addresses to clients of the host. */
    async verifyOffered(input: { host: string; addresses: readonly string[] }): Promise<readonly SeenDraining[]> {
      const looks = await mesh.readOffered(input.host);
      for (const { istiodPod, addresses } of looks) {
        const missing = input.addresses.filter((address) => !addresses.includes(address));
        if (missing.length === 0) continue;
        throw failure(
          'EndpointNotGivenOut',
          `${istiodPod} does not give ${missing.join(', ')} to clients of ${input.host}; check that the pods are ready and that the Service selects them`,
        );
      }
      return looks.map(({ istiodPod, at }) => ({ istiodPod, at }));
    },

    /** Throws `PodsNotGone` while pods of the target run. */
    async verifyPodsGone(input: PodsQuery): Promise<void> {
      const pods = await cutover.listPods(input);
      if (pods.length === 0) return;
      throw failure(
        'PodsNotGone',
        `${pods.length} pods of namespace ${input.namespace} still end: ${pods.map(({ name }) => name).join(', ')}`,
      );
    },

    /** What the proxies of the pods that are there now have counted of requests to them. */
    async readPodCounters(query: PodsQuery): Promise<Counters> {
      const pods = (await cutover.listPods(query)).filter(({ isReady }) => isReady);
      const read = pods.map(
        async ({ name }) => [name, inboundCounters(await cutover.readProxyMetrics(query.namespace, name))] as const,
      );
      return Object.fromEntries(await Promise.all(read));
    },

    /** The number that each query answers with; null where it has no sample. Failure types: those of the MetricsPort. */
    async queryMetrics({ queries }: { queries: readonly AskedQuery[] }): Promise<readonly MetricValues[]> {
      const { cancellationSignal } = Context.current();
      const ask = async (promql: string | undefined): Promise<number | null> =>
        promql === undefined ? null : ((await ports.metrics.query(promql, cancellationSignal)) ?? null);
      return await Promise.all(
        queries.map(async ({ pods, machines }) => ({ pods: await ask(pods), machines: await ask(machines) })),
      );
    },

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
      const nobody = nobodyServes(input, await cutover.listEntries(input));
      if (nobody === undefined) return;
      throw failure(
        'NoMachineServes',
        `${nobody}: the traffic stays with the pods until one does; start a machine, or undrain it`,
      );
    },

    /** Throws `SmokeFailed` unless every request from this machine that only pods get is answered below 500. */
    async smokeTest(input: SmokeInput): Promise<void> {
      const host = await admitHost(ports, input);
      const { service, port, path, requests } = input;
      const call = { host: service, port, path, headers: { [targetHeader]: podsSubset } };
      for (let sent = 1; sent <= requests; sent++) {
        const { status } = await ports.host.callFrom(host, call, Context.current().cancellationSignal);
        if (status < 400) continue;
        throw failure(
          'SmokeFailed',
          `Pods answered ${status} to GET ${path} of ${service}:${port} (request ${sent} of ${requests}, from ${input.namespace}/${input.name}); see their logs, or name another path with smoke`,
        );
      }
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

/** A gateway's route that its owner has taken away sends nobody anywhere. */
async function editedGatewayRoute(
  cutover: CutoverPort,
  target: CutoverTarget,
  weight: number,
): Promise<Deviation | undefined> {
  for (const route of target.gatewayRoutes) {
    const { namespace, virtualService: name } = route;
    const ref = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', namespace, name };
    const found = await cutover.readOwned(ref);
    const destinations = destinationsOf(found?.spec, route.route);
    const wanted = renderGatewayRoute(route, target, weight).destinations;
    if (destinations === undefined || isDeepStrictEqual(destinations, wanted)) continue;
    const object = `Route ${route.route} of ${describeObject(ref)}`;
    return { kind: 'RouteEdited', object, by: found?.lastEditor ?? 'somebody' };
  }
  return undefined;
}

async function changedWayBack(
  cutover: CutoverPort,
  { target: { namespace }, workloadGroup, wayBack }: FollowInput,
): Promise<Deviation | undefined> {
  const query = { namespace, workloadGroup };
  const nobody = nobodyServes(query, await cutover.listEntries(query));
  const lost = nobody && `${nobody}: none would take the traffic back now; start a machine, or undrain it`;
  if (lost === wayBack) return undefined;
  return { kind: 'WayBack', ...(lost === undefined ? {} : { lost }) };
}

/** By the same rules as before the migration began: what was no obstacle then is none now. */
async function changedBeside(
  cutover: CutoverPort,
  { target, rootNamespace, isBeside = false, arePodsAlone = false }: FollowInput,
): Promise<Deviation | undefined> {
  if (arePodsAlone) return undefined;
  const routes = await cutover.listRoutes(target.host);
  const known = rootNamespace === undefined ? {} : { rootNamespace };
  const [beside] = routedBeside({ ...target, ...known, routes });
  if (beside === undefined) return isBeside ? { kind: 'RoutedAlone' } : undefined;
  return { kind: 'RoutedBeside', object: describeObject(beside.ref), by: beside.lastEditor ?? 'somebody' };
}

const FOLLOW_MS = 6 * 3_600_000;
const FOLLOW_EVERY_MS = 3_000;
/** Objects are listed, some as whole kinds of the cluster: seldom. */
const LIST_EVERY_MS = 15_000;

/** A route that its owner has taken away sends nobody anywhere; answers whether it is there. */
async function unlessGone(edit: Promise<void>): Promise<boolean> {
  try {
    await edit;
    return true;
  } catch (error) {
    if (error instanceof ApplicationFailure && error.type === 'RouteMissing') return false;
    throw error;
  }
}

/** So many are named in a message. */
const NAMED = 10;
