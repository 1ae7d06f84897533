/** Activities of a migration around what routes its Service. Checks are single looks that throw while the evidence is missing: Temporal's retry is the wait. */
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import { ApplicationFailure, Context } from '@temporalio/activity';

import { nobodyServes } from '../workflows/plan/cutover-checks.ts';
import { routedBeside } from '../workflows/plan/route-checks.ts';
import { saysSame } from '../workflows/plan/says-same.ts';
import {
  askingFor,
  clientsNotAsking,
  type SeenDraining,
  silentIstiods,
  type Unproven,
  unprovenClients,
} from '../workflows/plan/drain-proof.ts';
import { failure } from './failures.ts';
import type { AppliedObject, ClusterPort, KubernetesObject, ObjectRef } from './ports/cluster-port.ts';
import type { CutoverFacts, CutoverPort, CutoverQuery } from './ports/cutover-port.ts';
import type { MeshPort, PushType } from './ports/mesh-port.ts';
import {
  type CutoverTarget,
  destinationsOf,
  pushAnnotation,
  renderGatewayRoute,
  renderRoutes,
  renderSubsets,
} from './render/cutover-routes.ts';
import { guardMessage } from './render/guard-message.ts';
import { describeObject, refOf } from './render/object-ref.ts';
import { leadsByRoutes, renderGuard, selectedAt, selectorOf } from './render/service-sides.ts';

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

export interface CutoverActivityPorts {
  readonly cluster: ClusterPort;
  readonly cutover: CutoverPort;
  readonly mesh: MeshPort;
}

export function cutoverActivities({ cluster, cutover, mesh }: CutoverActivityPorts) {
  return {
    readCutoverFacts: (query: CutoverQuery): Promise<CutoverFacts> => cutover.readFacts(query),

    /** What a migration would own, at its guard. */
    renderCutover: ({ target }: { target: CutoverTarget }): Promise<readonly KubernetesObject[]> =>
      Promise.resolve(renderGuard(target, 0, '')),

    /** Subsets of the Service: endpoints of machines, and of pods. `push` makes istiod push, whatever else changed. */
    applySubsets: async (input: {
      target: CutoverTarget;
      weight: number;
      push: string;
    }): Promise<readonly AppliedObject[]> =>
      await cluster.apply([renderSubsets(input.target, input.weight, input.push)]),

    /**
     * `weight` percent to pods, at every client that follows the mesh's routes. `areSidesMoved`: its subsets are written with them;
     * default false. Answers with the objects that lead; on the way back a gateway's route that its owner has taken away is none.
     */
    applyRoutes: async (input: {
      target: CutoverTarget;
      weight: number;
      push: string;
      areSidesMoved?: boolean;
    }): Promise<readonly ObjectRef[]> => {
      const { target, weight, push, areSidesMoved = false } = input;
      const own = [
        ...(areSidesMoved ? [renderSubsets(target, weight, push)] : []),
        ...(leadsByRoutes(target) ? [renderRoutes(target, weight, push)] : []),
      ];
      const written = await allDone([
        ...own.map(async (object) => (await cluster.apply([object])).map(({ ref }) => ref)),
        editGatewayRoutes(cutover, target, weight, push),
      ]);
      return written.flat();
    },

    /** Looks every few seconds, and returns what others have changed, or what is lost; undefined after six hours without. */
    async followCutover(input: FollowInput): Promise<Deviation | undefined> {
      const { target, weight, arePodsAlone = false } = input;
      const { cancellationSignal } = Context.current();
      const until = Date.now() + FOLLOW_MS;
      let listAt = 0;
      const wanted = arePodsAlone ? [] : renderGuard(target, weight, '');
      while (Date.now() < until) {
        for (const object of wanted) {
          const found = await cutover.readOwned(refOf(object));
          if (isAsWritten(found?.spec, object)) continue;
          const by = found?.lastEditor ?? 'somebody who removed it';
          return { kind: 'RouteEdited', object: describeObject(refOf(object)), by };
        }
        const edited = arePodsAlone
          ? undefined
          : ((await editedGatewayRoute(cutover, target, weight)) ?? (await editedSelector(cutover, target, weight)));
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
      const late = looks.filter(({ marks }) =>
        push === null ? marks !== undefined : marks?.[pushAnnotation] !== push,
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
     * these types that are later than what was seen, `EvidenceUnavailable` while an istiod pushes nothing. `subsets`: endpoints are
     * pushed to those alone that ask for some of these, which a DestinationRule of their own namespace may keep them from; absent: to all.
     */
    async verifyPushed(input: {
      host: string;
      types: readonly PushType[];
      subsets?: readonly string[];
      seen: readonly SeenDraining[];
    }): Promise<void> {
      const { host, types, subsets, seen } = input;
      const expected = await mesh.listExpectedProxies();
      for (const type of types) {
        const watchers = await mesh.readWatchers([host], type);
        const looks = type === 'eds' && subsets !== undefined ? askingFor(watchers, subsets) : watchers;
        const [silent] = silentIstiods({ looks, seen });
        if (silent !== undefined) {
          throw failure(
            'EvidenceUnavailable',
            `istiod ${silent.istiodPod} (version ${silent.version}) has pushed no ${type} since ${host} was routed anew; see its log`,
          );
        }
        refuseUnproven(`its new ${type}`, host, unprovenClients({ machine: '', expected, looks, seen }));
      }
    },

    /** Clients of the host that ask for the endpoints of one of these subsets. */
    async readAsking({ host, subsets }: { host: string; subsets: readonly string[] }): Promise<readonly string[]> {
      const connections = (await mesh.readWatchers([host])).flatMap((look) => look.connections);
      return connections
        .filter(({ clusters }) => clusters.some(({ subset }) => subsets.includes(subset)))
        .map(({ proxy }) => proxy);
    },

    /**
     * Throws `RouteUnacknowledged` until every proxy of the mesh is connected and each client of the host asks for the endpoints of these
     * subsets, of which none had asked before. It has their clusters then, and istiod answers what a connection asks for before it pushes
     * it anything that is written later: one goroutine per connection handles both [pilot/pkg/xds/ads.go, delta.go].
     */
    async verifyAsked({ host, subsets }: { host: string; subsets: readonly string[] }): Promise<void> {
      const [expected, looks] = await Promise.all([mesh.listExpectedProxies(), mesh.readWatchers([host])]);
      refuseUnproven('its subsets', host, clientsNotAsking({ expected, looks, subsets }));
    },

    /** Throws `GuardIncomplete` while a proxy may send to the Service without asking for one of its sides. */
    async verifyGuarded({ host, ports: numbers }: { host: string; ports: readonly number[] }): Promise<void> {
      const unguarded = await mesh.readUnguarded(host, numbers);
      if (unguarded.length > 0) throw failure('GuardIncomplete', guardMessage(host, unguarded));
    },

    /** Throws `EndpointNotGivenOut` until every istiod gives these addresses to clients of the host. */
    async verifyOffered(input: { host: string; addresses: readonly string[] }): Promise<readonly SeenDraining[]> {
      const looks = await mesh.readOffered(input.host);
      for (const { istiodPod, endpoints } of looks) {
        const missing = input.addresses.filter((address) => !endpoints.some((one) => one.address === address));
        if (missing.length === 0) continue;
        throw failure(
          'EndpointNotGivenOut',
          `${istiodPod} does not give ${missing.join(', ')} to clients of ${input.host}; check that the pods are ready and that the Service selects them`,
        );
      }
      return looks.map(({ istiodPod, at }) => ({ istiodPod, at }));
    },
  };
}

/**
 * At the same time: istiod waits a tenth of a second for more, and makes one push of what comes by then. Nothing is under way any more
 * once it ends; of several failures the first one of the list is thrown.
 */
async function allDone<T>(works: readonly Promise<T>[]): Promise<readonly T[]> {
  await Promise.allSettled(works);
  return await Promise.all(works);
}

/** One after the other: several may be of one object. Answers with the objects. */
async function editGatewayRoutes(
  cutover: CutoverPort,
  target: CutoverTarget,
  weight: number,
  push: string,
): Promise<readonly ObjectRef[]> {
  const edited: ObjectRef[] = [];
  for (const route of target.gatewayRoutes) {
    const edit = cutover.editRoute(renderGatewayRoute(route, target, weight), push);
    const isThere = weight === 0 ? await unlessGone(edit) : await edit.then(() => true);
    const { namespace, virtualService: name } = route;
    if (isThere) edited.push({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', namespace, name });
  }
  return edited;
}

function refuseUnproven(what: string, host: string, unproven: readonly Unproven[]): void {
  if (unproven.length === 0) return;
  const named = unproven.slice(0, NAMED).map(({ proxy, why }) => `${proxy} ${why}`);
  const more = unproven.length > NAMED ? ` and ${unproven.length - NAMED} more` : '';
  throw failure(
    'RouteUnacknowledged',
    `Not every client of ${host} has taken ${what}: ${named.join('; ')}${more}; see istioctl proxy-status`,
  );
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
  const guard = target.selector === undefined ? 'routes' : 'selector';
  const [beside] = routedBeside({ ...target, ...known, routes, guard });
  if (beside === undefined) return isBeside ? { kind: 'RoutedAlone' } : undefined;
  return { kind: 'RoutedBeside', object: describeObject(beside.ref), by: beside.lastEditor ?? 'somebody' };
}

/** The API server fills in what a Service does not say; of what was written nothing may be added to what it selects. */
function isAsWritten(found: unknown, { kind, spec }: KubernetesObject): boolean {
  if (kind !== 'Service') return isDeepStrictEqual(found, spec);
  return saysSame(found, spec) && isDeepStrictEqual(selectedBy(found), selectedBy(spec));
}

const selectedBy = (spec: unknown): unknown => (spec as { readonly selector?: unknown } | undefined)?.selector;

/** A Service that its owner has taken away has nobody's endpoints. */
async function editedSelector(
  cutover: CutoverPort,
  target: CutoverTarget,
  weight: number,
): Promise<Deviation | undefined> {
  const { namespace, selector: guard } = target;
  if (guard === undefined) return undefined;
  const ref = { apiVersion: 'v1', kind: 'Service', namespace, name: guard.service };
  const found = await cutover.readOwned(ref);
  const wanted = selectorOf(target, selectedAt(weight));
  if (found === undefined || isDeepStrictEqual(selectedBy(found.spec), wanted)) return undefined;
  return { kind: 'RouteEdited', object: `Selector of ${describeObject(ref)}`, by: found.lastEditor ?? 'somebody' };
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
