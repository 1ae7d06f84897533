import { expect, test } from '@jest/globals';

import { type Command, parseCommand } from '../../sandbox/command-line.ts';

const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');

test.each<[string, Command]>([
  ['up', { verb: 'up' }],
  ['down', { verb: 'down' }],
  ['status', { verb: 'status' }],
  ['env', { verb: 'env' }],
  [
    'machine add orders-1 orders-2',
    { verb: 'machine add', names: ['orders-1', 'orders-2'], namespace: 'shop', network: 'direct', apps: ['http'] },
  ],
  [
    'machine add ledger-1 --namespace bank --network gateway --apps http,greeting',
    { verb: 'machine add', names: ['ledger-1'], namespace: 'bank', network: 'gateway', apps: ['http', 'greeting'] },
  ],
  [
    'machine add hidden-1 --network inner',
    { verb: 'machine add', names: ['hidden-1'], namespace: 'shop', network: 'inner', apps: ['http'] },
  ],
  ['machine remove a b', { verb: 'machine remove', names: ['a', 'b'] }],
  ['machine reboot a', { verb: 'machine reboot', names: ['a'] }],
  ['machine power-off a', { verb: 'machine power-off', names: ['a'] }],
  ['machine power-on a', { verb: 'machine power-on', names: ['a'] }],
  ['machine reimage a', { verb: 'machine reimage', names: ['a'] }],
])('understands %s', (line, command) => {
  expect(parseCommand(words(line))).toEqual(command);
});

test.each([[''], ['restart'], ['up now'], ['machine'], ['machine add'], ['machine power-off'], ['machine stop a']])(
  'says how it is used when told "%s"',
  (line) => {
    expect(() => parseCommand(words(line))).toThrow(/^Usage: .*power-off/s);
  },
);

test.each([
  ['machine add a --network lan', 'Unknown network lan; use one of direct, gateway, inner'],
  ['machine add a --apps http,smtp', 'Unknown app smtp; use one of http, grpc, tcp, greeting'],
])('names what may stand there when told "%s"', (line, message) => {
  expect(() => parseCommand(words(line))).toThrow(message);
});
