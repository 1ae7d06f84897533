/** What a migration of group `orders` leads, without a gateway. */
import type { CutoverTarget } from '../../activities/render/cutover-routes.ts';

export const cutoverTarget: CutoverTarget = {
  migration: 'orders',
  namespace: 'shop',
  host: 'orders.shop.svc.cluster.local',
  ports: [{ port: 80, protocol: 'http' }],
  machineLabels: { 'meshlift.dev/workload-group': 'orders' },
  podLabels: { version: 'v2' },
  podSelector: { app: 'orders', version: 'v2' },
  gatewayRoutes: [],
};
