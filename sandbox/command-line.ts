/** The sandbox's command line: words in, one command out, or an error that says how it is used. */
import { parseArgs } from 'node:util';

import { type App, appPorts, machineNetworks, type MachineNetwork } from './layout.ts';

const usage = `Usage: npm run sandbox -- <verb>
  up                              bring the platform up (first time: about 20 minutes of building)
  down                            take it away; only the cache of built parts stays
  status                          what runs, and where its logs are
  env                             export lines for a shell: eval "$(npm run -s sandbox -- env)"
  machine add <name>... [--namespace <ns>] [--network direct|gateway|inner] [--apps http,grpc,tcp,greeting]
                                  inner: SSH through the machine "jump" alone, which is made with the first of them
  machine reboot <name>...        an orderly reboot
  machine power-off <name>...     as a pulled plug; disk, address and host key stay
  machine power-on <name>...      boot it again
  machine reimage <name>...       name and address stay; disk and host key are new
  machine remove <name>...`;

export type Command =
  | { readonly verb: 'up' | 'down' | 'status' | 'env' }
  | {
      readonly verb: 'machine add';
      readonly names: readonly string[];
      readonly namespace: string;
      readonly network: MachineNetwork;
      readonly apps: readonly App[];
    }
  | {
      readonly verb: 'machine remove' | 'machine reboot' | 'machine power-off' | 'machine power-on' | 'machine reimage';
      readonly names: readonly string[];
    };

export function parseCommand(words: readonly string[]): Command {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      namespace: { type: 'string', default: 'shop' },
      network: { type: 'string', default: 'direct' },
      apps: { type: 'string', default: 'http' },
    },
  });
  const [verb = '', action = '', ...names] = positionals;
  switch (verb) {
    case 'up':
    case 'down':
    case 'status':
    case 'env':
      if (action !== '') throw new Error(usage);
      return { verb };
    case 'machine':
      if (names.length === 0) throw new Error(usage);
      return machineCommand(action, names, values);
    default:
      throw new Error(usage);
  }
}

function machineCommand(
  action: string,
  names: readonly string[],
  values: { readonly namespace: string; readonly network: string; readonly apps: string },
): Command {
  switch (action) {
    case 'add': {
      const network = oneOf('network', Object.keys(machineNetworks) as MachineNetwork[], values.network);
      const apps = values.apps.split(',').map((app) => oneOf('app', Object.keys(appPorts) as App[], app));
      return { verb: 'machine add', names, namespace: values.namespace, network, apps };
    }
    case 'remove':
    case 'reboot':
    case 'power-off':
    case 'power-on':
    case 'reimage':
      return { verb: `machine ${action}`, names };
    default:
      throw new Error(usage);
  }
}

function oneOf<T extends string>(what: string, known: readonly T[], word: string): T {
  const found = known.find((candidate) => candidate === word);
  if (found === undefined) throw new Error(`Unknown ${what} ${word}; use one of ${known.join(', ')}`);
  return found;
}
