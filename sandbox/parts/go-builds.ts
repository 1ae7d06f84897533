/** The Go programs: each module under modules/ pins its source by go.mod and go.sum; the key is their digest and the flags. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';

import { ensurePart, isCached, type Part } from '../cache.ts';
import { run } from '../exec.ts';
import { istio } from '../layout.ts';
import { step } from '../progress.ts';

const modules = join(import.meta.dirname, '..', 'modules');

interface Recipe {
  readonly folder: string;
  readonly packages: readonly string[];
  readonly flags: readonly string[];
}

const recipes = {
  kubernetes: {
    folder: join(modules, 'kubernetes'),
    packages: ['kube-apiserver', 'kube-controller-manager', 'kube-proxy', 'kube-scheduler', 'kubectl', 'kubelet'].map(
      (command) => `k8s.io/kubernetes/cmd/${command}`,
    ),
    flags: ['-ldflags', '-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4'],
  },
  istio: {
    folder: join(modules, 'istio'),
    packages: ['istioctl/cmd/istioctl', 'pilot/cmd/pilot-agent', 'pilot/cmd/pilot-discovery'].map(
      (path) => `istio.io/istio/${path}`,
    ),
    flags: [
      '-tags',
      'vtprotobuf,disable_pgv',
      '-ldflags',
      `-s -w -X istio.io/istio/pkg/version.buildVersion=${istio.version}`,
    ],
  },
  coredns: { folder: join(modules, 'coredns'), packages: ['github.com/coredns/coredns'], flags: ['-ldflags', '-s -w'] },
  temporal: {
    folder: join(modules, 'temporal'),
    packages: ['github.com/temporalio/cli/cmd/temporal'],
    flags: ['-ldflags', '-s -w'],
  },
  app: { folder: join(import.meta.dirname, '..', 'app'), packages: ['.'], flags: ['-ldflags', '-s -w'] },
  pause: {
    folder: join(import.meta.dirname, '..', 'kubernetes', 'pause'),
    packages: ['.'],
    flags: ['-ldflags', '-s -w'],
  },
} satisfies Record<string, Recipe>;
export type GoBuild = keyof typeof recipes;

/** Without cgo the binaries are static: they run on any host and in an image of one file. The user's own Go settings stay out. */
const buildEnvironment = { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off', GOTOOLCHAIN: 'local' };

const building = new Map<GoBuild, Promise<string>>();

/** The folder with the binaries of the module, named as their commands; built once, shown with elapsed time. */
export async function goBuild(name: GoBuild): Promise<string> {
  const known = building.get(name) ?? build(name);
  building.set(name, known);
  return await known;
}

/** The folder of Istio's source in Go's module cache: packaging files, charts, bootstrap template. */
export async function istioSource(): Promise<string> {
  const { folder } = recipes.istio;
  await run('go', ['mod', 'download', 'istio.io/istio'], { cwd: folder });
  return (await run('go', ['list', '-m', '-f', '{{.Dir}}', 'istio.io/istio'], { cwd: folder })).stdout.trim();
}

async function build(name: GoBuild): Promise<string> {
  const part = goPart(name, recipes[name]);
  if (isCached(part)) return await ensurePart(part);
  return await step(`building ${name} (Go)`, async () => await ensurePart(part));
}

function goPart(name: string, recipe: Recipe): Part {
  const args = ['build', '-trimpath', '-buildvcs=false', ...recipe.flags];
  return {
    name,
    key: digest(args.join(' '), recipe.packages.join(' '), ...inputs(recipe.folder)),
    build: async (into) => {
      await inTurn(async () => {
        await run('go', [...args, '-o', `${into}/`, ...recipe.packages], { cwd: recipe.folder, env: buildEnvironment });
      });
    },
  };
}

/** Linking the largest module takes about this much. */
const bytesPerBuild = 4 * 1024 ** 3;
let freeSlots = Math.max(1, Math.floor(totalmem() / bytesPerBuild));
const waiting: (() => void)[] = [];

/** As many builds at once as memory allows. */
async function inTurn(work: () => Promise<void>): Promise<void> {
  if (freeSlots > 0) freeSlots -= 1;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) freeSlots += 1;
    else next();
  }
}

/** go.mod, go.sum and our own sources; what the modules hold is pinned by go.sum. */
const inputs = (folder: string): string[] =>
  readdirSync(folder)
    .filter((file) => /^go\.(mod|sum)$/.test(file) || (file.endsWith('.go') && !file.endsWith('_test.go')))
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8'));

const digest = (...texts: readonly string[]): string =>
  createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 12);
