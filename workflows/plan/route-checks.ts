/** The part of a migration's preflight that looks at what routes the Service already. */
import type { ObjectRef } from '../../activities/ports/cluster-port.ts';
import type { FoundRoute, GatewayRoute } from '../../activities/ports/cutover-port.ts';
import { describeObject } from '../../activities/render/object-ref.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import type { CutoverCheck, CutoverInput } from './cutover-checks.ts';
import { fails, holds, listed } from './verdicts.ts';

/** What routes a Service, and whose of it a migration may find there. */
interface Routing {
  readonly routes: readonly FoundRoute[];
  /** Of the Service. */
  readonly namespace: string;
  readonly rootNamespace?: string;
  readonly migration: string;
  /** Default `routes`. */
  readonly guard?: CreateMigration['guard'];
  /** That the migration leads. */
  readonly gatewayRoutes: readonly Pick<GatewayRoute, 'namespace' | 'virtualService'>[];
}

const routingOf = ({ request: { namespace, name: migration, guard = 'routes' }, facts }: CutoverInput): Routing => ({
  ...{ routes: facts.routes, gatewayRoutes: facts.gatewayRoutes, namespace, migration, guard },
  ...(facts.rootNamespace === undefined ? {} : { rootNamespace: facts.rootNamespace }),
});

/**
 * A rule of the Service's own name in its namespace goes before one with a wildcard there, and before any of the root namespace; one of
 * a client's namespace goes before both, wildcard or not [pilot/pkg/model/push_context.go, destinationRule].
 */
const outrankedOf = ({ routes, namespace, rootNamespace }: Routing): readonly FoundRoute[] =>
  routes.filter(
    ({ isWildcard, ref }) => isWildcard === true && (ref.namespace === namespace || ref.namespace === rootNamespace),
  );

/** The Service's selector keeps its sides apart whatever leads to it; routes of the mesh for its own name have no second one beside. */
const meetsSelector = ({ isOfMesh, migration }: FoundRoute): boolean => isOfMesh === true || migration !== undefined;

/** What routes the Service beside the migration: there is no second one. */
export function routedBeside(routing: Routing): readonly FoundRoute[] {
  const { routes, gatewayRoutes, migration, guard } = routing;
  const isOwned = ({ kind, namespace: of, name: named }: ObjectRef): boolean =>
    kind === 'VirtualService' &&
    gatewayRoutes.some((route) => route.namespace === of && route.virtualService === named);
  const outranked = outrankedOf(routing);
  const isInWay = (route: FoundRoute): boolean =>
    guard === 'selector' ? meetsSelector(route) : !outranked.includes(route);
  return routes.filter((route) => route.migration !== migration && !isOwned(route.ref) && isInWay(route));
}

/** What such a rule says of TLS, pools or outliers does not hold beside the migration's own. */
const rulesHold: CutoverCheck = (input) => {
  const type = 'RulesHold';
  const { service, guard } = input.request;
  if (guard === 'selector') return undefined;
  const outranked = outrankedOf(routingOf(input));
  if (outranked.length === 0) return undefined;
  const named = listed(outranked.map(({ ref }) => `${ref.namespace}/${ref.name}`));
  return fails(
    type,
    'RulesOutranked',
    `DestinationRules ${named} are for Service ${service} by a wildcard: while it is migrated, Meshlift's own goes before them, and their traffic policy does not hold for it`,
    'Warning',
  );
};

const routesFree: CutoverCheck = (input) => {
  const type = 'RoutesFree';
  const { service, guard } = input.request;
  const others = routedBeside(routingOf(input));
  const owners = others.flatMap(({ gitOps = [] }) => gitOps);
  const named = listed(
    others.map(({ ref, gitOps = [] }) => `${describeObject(ref)}${gitOps.length === 0 ? '' : ` (${listed(gitOps)})`}`),
  );
  const rival = others.find(({ migration }) => migration !== undefined)?.migration;
  if (rival !== undefined)
    return fails(
      type,
      'OtherMigration',
      `Migration ${rival} moves Service ${service} already (${named}); wait for its end, or cancel it`,
    );
  if (others.length > 0)
    return fails(
      type,
      'RoutedAlready',
      `Service ${service} is routed by ${named}; name the routes of gateways in ownGatewayRoutes, and remove the others for the time of the migration${owners.length === 0 ? '' : `, where ${listed([...new Set(owners)])} would not put them back`}: Meshlift makes no second one${guard === 'selector' || others.some(meetsSelector) ? '' : '. Or ask for guard: selector, which lives with them'}`,
    );
  return holds(type, `Nothing else routes Service ${service}`);
};

const gatewayRoutesFound: CutoverCheck = ({
  request: { namespace, service, ownGatewayRoutes = [], gitops },
  facts: { gatewayRoutes },
}) => {
  if (ownGatewayRoutes.length === 0) return undefined;
  const type = 'GatewayRoutesFound';
  const missing = ownGatewayRoutes.filter(
    (asked) =>
      !gatewayRoutes.some(
        (found) =>
          found.namespace === (asked.namespace ?? namespace) &&
          found.virtualService === asked.virtualService &&
          found.route === asked.route,
      ),
  );
  const named = listed(missing.map(({ virtualService, route }) => `${route} of VirtualService ${virtualService}`));
  if (missing.length > 0)
    return fails(type, 'RouteMissing', `There is no HTTP route ${named}; name routes as their field name does`);
  const ofMesh = gatewayRoutes.filter(({ isOfMesh }) => isOfMesh === true);
  if (ofMesh.length > 0) {
    const names = listed(ofMesh.map((one) => `${one.namespace}/${one.virtualService}`));
    return fails(
      type,
      'RouteOfMesh',
      `Sidecars follow VirtualServices ${names} too (gateway mesh, or none): beside Meshlift's own there would be two for Service ${service}; split them by gateway, and remove what is for mesh for the time of the migration`,
    );
  }
  const managed = gatewayRoutes.filter(({ gitOps = [] }) => gitOps.length > 0 && gitops !== 'paused');
  if (managed.length > 0) {
    const owners = managed.map((one) => `${one.namespace}/${one.virtualService} (${listed(one.gitOps ?? [])})`);
    return fails(
      type,
      'ManagedByGitOps',
      `VirtualServices ${listed(owners)} are managed by tools that would put their routes back; pause these, and say so with gitops: paused`,
    );
  }
  return holds(type, `${gatewayRoutes.length} routes of gateways follow`);
};

export const routeChecks: readonly CutoverCheck[] = [routesFree, rulesHold, gatewayRoutesFound];
