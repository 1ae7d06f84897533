/** The part of a migration's preflight that judges whether the Service's selector may keep its sides apart. */
import type { ObjectRef } from '../../activities/ports/cluster-port.ts';
import { describeObject } from '../../activities/render/object-ref.ts';
import { machinesService } from '../../activities/render/service-sides.ts';
import type { CutoverCheck } from './cutover-checks.ts';
import { fails, holds, listed } from './verdicts.ts';

const MOST_IN_NAME = 63;

/** Two migrations would take each other's selector, or routes, for what its owner wrote. */
const selectorFree: CutoverCheck = ({ request: { namespace, name, service, guard }, facts }) => {
  const type = 'SelectorFree';
  const { heldBy } = facts.service ?? {};
  if (heldBy !== undefined && heldBy !== name) {
    return fails(
      type,
      'OtherMigration',
      `Migration ${heldBy} has the selector of Service ${namespace}/${service}; wait for its end, or cancel it`,
    );
  }
  const kind = guard === 'selector' ? 'DestinationRule' : 'Service';
  const left = facts.objects.filter((object) => object.kind === kind);
  if (left.length > 0) {
    const other = guard === 'selector' ? 'routes' : 'selector';
    return fails(
      type,
      'OtherGuard',
      `A run of this name before has left ${listed(left.map(({ kind: of, metadata }) => describeObject({ kind: of, ...metadata })))}, by guard: ${other}; repeat that one, and roll it back`,
    );
  }
  return guard === 'selector' ? holds(type, `Nobody else has the selector of Service ${service}`) : undefined;
};

const selectorMayChange: CutoverCheck = ({ request: { namespace, service, guard, gitops }, facts }) => {
  if (guard !== 'selector' || facts.service === undefined) return undefined;
  const type = 'SelectorMayChange';
  const { gitOps = [] } = facts.service;
  if (gitOps.length > 0 && gitops !== 'paused') {
    return fails(
      type,
      'ManagedByGitOps',
      `Service ${namespace}/${service} is managed by ${listed(gitOps)}, which would put its selector back; let it ignore that, or pause it, and say so with gitops: paused`,
    );
  }
  return holds(type, `Nobody puts the selector of Service ${service} back`);
};

const sideServicesFree: CutoverCheck = ({ request: { namespace, name, guard }, facts: { sideServices = [] } }) => {
  if (guard !== 'selector') return undefined;
  const type = 'SideServicesFree';
  const longest = machinesService(name);
  if (longest.length > MOST_IN_NAME) {
    const most = MOST_IN_NAME - longest.length + name.length;
    return fails(
      type,
      'NameTooLong',
      `The name of a Service has ${MOST_IN_NAME} characters at the most, and ${longest} would have ${longest.length}; give the migration a name of at most ${most}`,
    );
  }
  const others = sideServices.filter(({ isThere, migration }) => isThere && migration !== name);
  const named = (some: typeof sideServices): string => listed(some.map(({ ref }) => describeObject(ref)));
  if (others.length > 0) {
    return fails(type, 'NameTaken', `${named(others)} exists, and is not of this migration; give it another name`);
  }
  const [fault] = sideServices.flatMap((one) => one.fault ?? []);
  if (fault !== undefined) {
    const isForbidden = fault.type === 'ClusterForbidden';
    const cure = isForbidden ? `; bind ClusterRole meshlift-selectors in namespace ${namespace}` : '';
    return fails(type, fault.type, `${fault.message}${cure}`);
  }
  return holds(type, `The cluster takes ${named(sideServices)}`);
};

/** Of rules by a wildcard, those of the Services of both sides are found the same way. */
const rulesOfPods: CutoverCheck = ({ request: { service, guard }, facts: { routes } }) => {
  if (guard !== 'selector') return undefined;
  const type = 'RulesHold';
  const rules = routes.filter(
    ({ ref, isWildcard, migration }) =>
      ref.kind === 'DestinationRule' && isWildcard !== true && migration === undefined,
  );
  if (rules.length === 0) return undefined;
  return fails(
    type,
    'RulesNotOfPods',
    `DestinationRules ${listed(rules.map(({ ref }) => `${ref.namespace}/${ref.name}`))} are for Service ${service} by its name: their traffic policy holds for machines, and for callers that follow no route; while it is migrated it does not hold for who is routed to pods, through a Service of their own`,
    'Warning',
  );
};

/** What only the selector moves. */
const othersMoveAtOnce: CutoverCheck = ({ request: { service, guard }, facts: { routes, gatewayRoutes } }) => {
  if (guard !== 'selector') return undefined;
  const type = 'OthersMoveAtOnce';
  const isOwned = ({ namespace, name }: ObjectRef): boolean =>
    gatewayRoutes.some((route) => route.namespace === namespace && route.virtualService === name);
  const unled = routes.filter(
    ({ ref, isOfMesh, migration }) =>
      ref.kind !== 'DestinationRule' && isOfMesh !== true && migration === undefined && !isOwned(ref),
  );
  if (unled.length === 0) return undefined;
  return fails(
    type,
    'RoutesUnled',
    `${listed(unled.map(({ ref }) => describeObject(ref)))} lead to Service ${service} by routes of their own: who follows them stays with machines until 100%, and then moves at once; name routes of gateways in ownGatewayRoutes to have them follow the weights`,
    'Warning',
  );
};

export const selectorChecks: readonly CutoverCheck[] = [
  selectorFree,
  selectorMayChange,
  sideServicesFree,
  rulesOfPods,
  othersMoveAtOnce,
];
