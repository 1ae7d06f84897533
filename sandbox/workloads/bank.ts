/** `bank`: `ledger` runs on a machine, `teller` in a pod; neither has business with `shop`. */
import { appObjects, service, waitForApp } from './app.ts';

const namespace = 'bank';

export const bankServices = [service(namespace, 'ledger'), service(namespace, 'teller')];
export const bankPods = appObjects(namespace, 'teller');

export const waitForBank = async (): Promise<void> => {
  await waitForApp(namespace, 'teller');
};
