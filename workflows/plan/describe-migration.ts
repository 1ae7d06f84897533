/** A migration in words: what it owns, each step with its gate, and what a rollback restores. */
import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { CutoverFacts, RouteDestination } from '../../activities/ports/cutover-port.ts';
import { type CutoverTarget, renderGatewayRoute, routesName } from '../../activities/render/cutover-routes.ts';
import { describeObject, refOf } from '../../activities/render/object-ref.ts';
import { machinesService, selectorOf } from '../../activities/render/service-sides.ts';
import type { CreateMigration, MigrationPlan } from '../../api/schemas/migration.ts';
import type { CutoverPlan } from '../cutover.ts';
import { cutoverSteps, shiftStep } from './cutover-steps.ts';
import { deploymentOf, manifestsOf } from './migration-target.ts';
import { saysSame } from './says-same.ts';

type PlannedObject = MigrationPlan['objects'][number];
type Found = Pick<CutoverFacts, 'objects' | 'manifests' | 'gatewayRoutes'>;

/** What each step waits for before the next one begins. */
const gates: Readonly<Record<string, string>> = {
  claimMachines: 'no other operation has them',
  applySubsets: 'every client has taken the DestinationRule',
  applyServices: 'every istiod holds the Services of both sides',
  guardService: 'every client sends to machines alone, and no proxy goes past the guard',
  applyManifests: 'the cluster has taken them, without a pod',
  startPods: 'the pods are ready, their proxies connected and up to date',
  smokeTest: 'pods answer requests that only they are routed',
  awaitCutover: 'its time has come',
  soak: 'everything is served by pods, and passes the analysis',
  awaitFinalize: 'POST .../finalize',
  proveSilence: 'no request reaches a machine any more, and no other machine has joined the group',
  retireMachines: 'each machine has left the mesh, as found',
  removeRoutes: "what is left is what a user would have written: the migration's own routes are gone",
  holdSplit: 'POST .../rollback',
};

function deploymentRestored({ namespace, target }: CreateMigration, replicasBefore: number): readonly string[] {
  const place = `Deployment ${namespace}/${deploymentOf(target)}`;
  const made = manifestsOf(target).filter(({ kind }) => kind !== 'Deployment');
  if (manifestsOf(target).length === 0) return [`${place} at ${replicasBefore} replicas, its pods gone`];
  return [
    `${place} deleted, its pods gone`,
    ...made.map(({ kind, metadata }) => `${kind} ${namespace}/${metadata.name} deleted`),
  ];
}

const isSame = (one: unknown, other: unknown): boolean => saysSame(one, other) && saysSame(other, one);

/** What a run before has left is there, and stands as this one begins, or otherwise. */
function changeOf(object: KubernetesObject, { objects, manifests = [] }: Found): PlannedObject['change'] {
  const named = describeObject(refOf(object));
  const left = objects.find((one) => describeObject(refOf(one)) === named);
  // The API server fills in what a Service does not say.
  const stands = object.kind === 'Service' ? saysSame : isSame;
  if (left !== undefined) return stands(left.spec, object.spec) ? 'unchanged' : 'change';
  const manifest = manifests.find(({ ref }) => describeObject(ref) === named);
  if (manifest?.isThere !== true) return 'create';
  return manifest.isSame === true ? 'unchanged' : 'change';
}

/** Somebody's VirtualServices, of which the run leads some routes: these alone, as the guard writes them. */
function ledObjects(target: CutoverTarget, { gatewayRoutes: found }: Found): readonly PlannedObject[] {
  const refs = target.gatewayRoutes.map(({ namespace, virtualService }) => `${namespace}/${virtualService}`);
  return [...new Set(refs)].map((ref) => {
    const ofObject = ({ namespace, virtualService }: { readonly namespace: string; readonly virtualService: string }) =>
      `${namespace}/${virtualService}` === ref;
    const routes = target.gatewayRoutes.filter(ofObject).map((route) => renderGatewayRoute(route, target, 0));
    const [namespace, name] = ref.split('/');
    const stands = routes.every(({ route, destinations }) =>
      found.some((one) => ofObject(one) && one.route === route && isSame(one.destinations, destinations)),
    );
    return {
      ref: `VirtualService ${ref}`,
      change: stands ? 'unchanged' : 'change',
      routes: routes.map(({ route }) => route),
      object: {
        ...{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { namespace, name } },
        spec: { http: routes.map(({ route, destinations }) => ({ name: route, route: destinations })) },
      },
    };
  });
}

/** The Service, of which the run changes the selector alone. */
function selectingObjects(target: CutoverTarget, { objects }: Found): readonly PlannedObject[] {
  const { namespace, selector: guard } = target;
  const selector = selectorOf(target, 'machines');
  if (guard === undefined || selector === undefined) return [];
  const object = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: guard.service },
    spec: { selector },
  };
  const ref = describeObject(refOf(object));
  const left = objects.find((one) => describeObject(refOf(one)) === ref);
  return [{ ref, change: isSame(selectedBy(left), selector) ? 'unchanged' : 'change', object }];
}

const selectedBy = (object: KubernetesObject | undefined): unknown =>
  (object?.spec as { readonly selector?: unknown } | undefined)?.selector;

const guardRestored = ({ namespace, migration, selector: guard }: CutoverTarget): readonly string[] => {
  if (guard === undefined) return ['no VirtualService and no DestinationRule of the migration'];
  const selector = Object.entries(guard.selector).map(([key, value]) => `${key}=${value}`);
  return [
    `selector of Service ${namespace}/${guard.service} as it was: ${selector.join(', ')}`,
    `no VirtualService of the migration, and none of its Services ${routesName(migration)} and ${machinesService(migration)}`,
  ];
};

/** What a person sees to where the run could not, by its end. */
export const leftAtTheEnd = ({ namespace, name, service, guard }: CreateMigration): string =>
  guard === 'selector'
    ? `Once it is mended, give Service ${namespace}/${service} the selector that its annotation holds, without that annotation, and remove VirtualService ${routesName(name)} and Services ${routesName(name)} and ${machinesService(name)}`
    : `Remove VirtualService and DestinationRule ${routesName(name)} of namespace ${namespace} once it is mended`;

function describeDestination({ destination: { host, subset, port }, weight }: RouteDestination): string {
  const place = `${host}${port === undefined ? '' : `:${port.number}`}${subset === undefined ? '' : ` (${subset})`}`;
  return weight === undefined ? place : `${weight}% to ${place}`;
}

const routesRestored = ({ gatewayRoutes }: CutoverTarget): readonly string[] =>
  gatewayRoutes.map(
    ({ namespace, virtualService, route, destinations }) =>
      `route ${route} of VirtualService ${namespace}/${virtualService} as it was: ${destinations.map(describeDestination).join(', ')}`,
  );

export function describeMigration(
  { request, target, replicasBefore }: Pick<CutoverPlan, 'request' | 'target' | 'replicasBefore'>,
  objects: readonly KubernetesObject[],
  found: Found,
): Omit<MigrationPlan, 'conditions'> {
  const shifts = Object.fromEntries(
    request.steps.map(({ weight, hold = '1m' }) => {
      const approval = request.approvals?.includes(weight) === true ? 'POST .../approve; ' : '';
      return [
        shiftStep(weight),
        `${approval}every client has acknowledged the weight; held for ${hold}; the analysis passes`,
      ];
    }),
  );
  return {
    objects: [
      ...objects.map((object) => ({
        ref: describeObject(refOf(object)),
        change: changeOf(object, found),
        object,
      })),
      ...selectingObjects(target, found),
      ...ledObjects(target, found),
    ],
    steps: cutoverSteps(request).map((name) => ({ name, gate: shifts[name] ?? gates[name] ?? '' })),
    rollback: [
      target.selector === undefined
        ? `all traffic of ${target.host} to machines, in one write, acknowledged by every client`
        : `all traffic of ${target.host} to machines, by its selector and by one write of its routes, acknowledged by every client`,
      ...deploymentRestored(request, replicasBefore),
      ...routesRestored(target),
      ...guardRestored(target),
    ],
  };
}
