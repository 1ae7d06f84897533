/** What a migration does, as steps by name, and what it routes by. */
import type { ObjectRef } from '../../activities/ports/cluster-port.ts';
import { type CutoverTarget, withoutSides } from '../../activities/render/cutover-routes.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import { type CutoverInput, protocolOf, sidesOf, speaksGrpc } from './cutover-checks.ts';
import { manifestsOf } from './migration-target.ts';

export const CLAIM_STEPS = ['claimMachines'];
export const GUARD_STEPS = ['applySubsets', 'guardService'];
export const MANIFEST_STEPS = ['applyManifests'];
export const POD_STEPS = ['startPods', 'smokeTest'];
export const LEAVE_STEPS = ['soak', 'awaitFinalize', 'proveSilence', 'retireMachines', 'removeRoutes'];

export const shiftStep = (weight: number): string => `shiftTo${weight}`;

/** A run whose last weight is below 100 stays there: it has nothing to soak or finalize. */
export function cutoverSteps({
  steps,
  cutoverAt,
  target,
}: Pick<CreateMigration, 'steps' | 'cutoverAt' | 'target'>): readonly string[] {
  const shifts = steps.map(({ weight }) => shiftStep(weight));
  const isWhole = steps.at(-1)?.weight === 100;
  const pods = [...(manifestsOf(target).length === 0 ? [] : MANIFEST_STEPS), ...POD_STEPS];
  const before = [...CLAIM_STEPS, ...GUARD_STEPS, ...pods, ...(cutoverAt === undefined ? [] : ['awaitCutover'])];
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
  const isLeftBehind = facts.objects.length > 0;
  const gatewayRoutes = facts.gatewayRoutes.map((route) => (isLeftBehind ? withoutSides(route, host) : route));
  const podSelector = facts.deployment.labels;
  return { migration, namespace, host, ports, ...sides, podSelector, gatewayRoutes };
}

/** The two objects that a migration owns in the mesh have one name. */
export function routeRef(
  { namespace, migration }: Pick<CutoverTarget, 'namespace' | 'migration'>,
  kind: 'DestinationRule' | 'VirtualService',
): ObjectRef {
  return { apiVersion: 'networking.istio.io/v1', kind, namespace, name: `meshlift-${migration}` };
}

/** The first port that answers a plain GET; undefined where none does. */
export const smokePort = ({ ports }: Pick<CutoverTarget, 'ports'>): number | undefined =>
  ports.find(({ protocol, isGrpc }) => protocol === 'http' && isGrpc !== true)?.port;
