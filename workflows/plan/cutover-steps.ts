/** What a migration does, as steps by name, and what it routes by. */
import type { ObjectRef } from '../../activities/ports/cluster-port.ts';
import type { PushType } from '../../activities/ports/mesh-port.ts';
import { type CutoverTarget, podsHost, withoutSides } from '../../activities/render/cutover-routes.ts';
import { machinesService } from '../../activities/render/service-sides.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import { type CutoverInput, protocolOf, sidesOf, speaksGrpc } from './cutover-checks.ts';
import { manifestsOf } from './migration-target.ts';

export { subsetsOf } from '../../activities/render/cutover-routes.ts';
export { selectedAt } from '../../activities/render/service-sides.ts';

export const CLAIM_STEPS = ['claimMachines'];
export const GUARD_STEPS = ['applySubsets', 'applyServices', 'guardService'];
export const MANIFEST_STEPS = ['applyManifests'];
export const POD_STEPS = ['startPods', 'smokeTest'];
export const LEAVE_STEPS = ['soak', 'awaitFinalize', 'proveSilence', 'retireMachines', 'removeRoutes'];

export const shiftStep = (weight: number): string => `shiftTo${weight}`;

/** What gives both sides a name. */
export const sidesStep = (guard: CreateMigration['guard']): string =>
  guard === 'selector' ? 'applyServices' : 'applySubsets';

/** A run whose last weight is below 100 stays there: it has nothing to soak or finalize. */
export function cutoverSteps({
  steps,
  cutoverAt,
  target,
  guard,
}: Pick<CreateMigration, 'steps' | 'cutoverAt' | 'target' | 'guard'>): readonly string[] {
  const shifts = steps.map(({ weight }) => shiftStep(weight));
  const isWhole = steps.at(-1)?.weight === 100;
  const pods = [...(manifestsOf(target).length === 0 ? [] : MANIFEST_STEPS), ...POD_STEPS];
  const guards = [sidesStep(guard), 'guardService'];
  const before = [...CLAIM_STEPS, ...guards, ...pods, ...(cutoverAt === undefined ? [] : ['awaitCutover'])];
  return [...before, ...shifts, ...(isWhole ? LEAVE_STEPS : ['holdSplit'])];
}

/** Only what passed the preflight has one. */
export function targetOf({ request, facts }: CutoverInput): CutoverTarget | undefined {
  const sides = sidesOf(facts);
  if (sides === undefined || facts.service === undefined || facts.deployment === undefined) return undefined;
  const ports = facts.service.ports.flatMap((port) => {
    const protocol = protocolOf(port);
    return protocol === undefined ? [] : [{ port: port.port, protocol, ...(speaksGrpc(port) ? { isGrpc: true } : {}) }];
  });
  const { name: migration, namespace } = request;
  const { host } = facts;
  const { selector, like } = facts.service;
  const own = {
    ...{ migration, namespace, host, ports, ...sides, podSelector: facts.deployment.labels },
    ...(request.guard === 'selector' ? { selector: { service: request.service, selector, like } } : {}),
  };
  const isLeftBehind = facts.objects.length > 0;
  return {
    ...own,
    gatewayRoutes: facts.gatewayRoutes.map((route) => (isLeftBehind ? withoutSides(route, own) : route)),
  };
}

/** The two objects that a migration owns in the mesh have one name. */
export function routeRef(
  { namespace, migration }: Pick<CutoverTarget, 'namespace' | 'migration'>,
  kind: 'DestinationRule' | 'VirtualService',
): ObjectRef {
  return { apiVersion: 'networking.istio.io/v1', kind, namespace, name: `meshlift-${migration}` };
}

/** The Service that machines alone have by `guard: selector`. */
export const machinesRef = ({ namespace, migration }: Pick<CutoverTarget, 'namespace' | 'migration'>): ObjectRef => ({
  ...{ apiVersion: 'v1', kind: 'Service', namespace, name: machinesService(migration) },
});

/** What istiod pushes for routes of the Service; nothing where it has none. */
export function routeTypesOf(target: CutoverTarget): readonly PushType[] {
  const isHttp = target.ports.some(({ protocol }) => protocol === 'http');
  const isTcp = target.selector === undefined && target.ports.some(({ protocol }) => protocol === 'tcp');
  return [...(isHttp ? (['rds'] as const) : []), ...(isTcp ? (['lds'] as const) : [])];
}

export const podsHostOf = (target: CutoverTarget): string => podsHost(target);

/** The first port that answers a plain GET; undefined where none does. */
export const smokePort = ({ ports }: Pick<CutoverTarget, 'ports'>): number | undefined =>
  ports.find(({ protocol, isGrpc }) => protocol === 'http' && isGrpc !== true)?.port;
