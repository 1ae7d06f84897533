/** `shop`: `orders` runs on machines, `frontend` and `catalog` in pods; `frontend` calls what it is asked to call. */
import { appObjects, httpService, waitForApp } from './app.ts';

const namespace = 'shop';

export const shopServices = [
  httpService(namespace, 'orders'),
  httpService(namespace, 'frontend'),
  httpService(namespace, 'catalog'),
];
export const shopPods = [...appObjects(namespace, 'frontend'), ...appObjects(namespace, 'catalog')];

export const waitForShop = async (): Promise<void> => {
  await Promise.all([waitForApp(namespace, 'frontend'), waitForApp(namespace, 'catalog')]);
};
