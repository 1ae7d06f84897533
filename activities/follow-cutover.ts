/** The activity that watches what a migration has written, and whether its way back stands, while it waits. */
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import { Context } from '@temporalio/activity';

import { nobodyServes } from '../workflows/plan/cutover-checks.ts';
import { routedBeside } from '../workflows/plan/route-checks.ts';
import { saysSame } from '../workflows/plan/says-same.ts';
import type { KubernetesObject } from './ports/cluster-port.ts';
import type { CutoverPort } from './ports/cutover-port.ts';
import { type CutoverTarget, destinationsOf, renderGatewayRoute } from './render/cutover-routes.ts';
import { describeObject, refOf } from './render/object-ref.ts';
import { renderGuard, selectedAt, selectorOf } from './render/service-sides.ts';

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

const FOLLOW_MS = 6 * 3_600_000;
const FOLLOW_EVERY_MS = 3_000;
/** Objects are listed, some as whole kinds of the cluster: seldom. */
const LIST_EVERY_MS = 15_000;

export function followActivities({ cutover }: { readonly cutover: CutoverPort }) {
  return {
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
