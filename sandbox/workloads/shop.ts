/**
 * `shop`: `orders`, `payments` and `mail` run on machines, `frontend` and `catalog` in pods; `frontend` calls what it is asked
 * to call. `checkout` is a second Service of whichever machines carry its label, of one group or of several.
 */
import { appObjects, service, waitForApp } from './app.ts';

const namespace = 'shop';

export const shopServices = [
  service(namespace, 'orders'),
  service(namespace, 'payments', ['http', 'grpc', 'tcp']),
  service(namespace, 'checkout', ['http', 'grpc', 'tcp'], { checkout: 'true' }),
  service(namespace, 'mail', ['http', 'greeting']),
  service(namespace, 'frontend'),
  service(namespace, 'catalog', ['http', 'grpc', 'tcp', 'greeting']),
];
export const shopPods = [
  ...appObjects(namespace, 'frontend'),
  ...appObjects(namespace, 'catalog', ['http', 'grpc', 'tcp', 'greeting']),
];

export const waitForShop = async (): Promise<void> => {
  await Promise.all([waitForApp(namespace, 'frontend'), waitForApp(namespace, 'catalog')]);
};
