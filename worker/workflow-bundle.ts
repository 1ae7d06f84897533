/**
 * The workflows as one script, which the worker's isolates run. Bundling takes seconds of CPU, so a script that was made of the
 * same sources is taken from the cache: a worker that takes over from a killed one is back at work sooner.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { bundleWorkflowCode, Runtime, type WorkflowBundleWithSourceMap } from '@temporalio/worker';

/** Scripts of earlier sources that stay for workers that still run them. */
const SCRIPTS_KEPT = 5;

const root = fileURLToPath(new URL('..', import.meta.url));

/** Every workflow, and what is around each. */
export const bundled = {
  workflowsPath: join(root, 'workflows', 'index.ts'),
  workflowInterceptorModules: [join(root, 'workflows', 'no-empty-task.ts')],
};

/** Of the workflows of one module, which is loaded once and not for each of them: no module of ours keeps state. */
export async function bundleOf(workflowsPath: string): Promise<WorkflowBundleWithSourceMap> {
  const { logger } = Runtime.instance();
  return await bundleWorkflowCode({ ...bundled, workflowsPath, preloadModules: [workflowsPath], logger });
}

/** The script; a cache that cannot be read or written costs time, never the worker. */
export async function workflowBundle(cacheDirectory: string): Promise<{ readonly code: string }> {
  const digest = await digestOfSources();
  const path = join(cacheDirectory, `${digest}.js`);
  const cached = await readFile(path, 'utf8').catch(() => undefined);
  if (cached !== undefined) return { code: cached };
  const { code } = await bundleOf(bundled.workflowsPath);
  // Sources that were edited meanwhile are not what the digest names.
  if ((await digestOfSources()) === digest) await keep(cacheDirectory, path, code).catch(() => undefined);
  return { code };
}

/** Of everything that workflows may import, and of the lock file that names what else is bundled with them. */
async function digestOfSources(): Promise<string> {
  const digest = createHash('sha256').update(process.version);
  const sources = await Promise.all(['workflows', 'activities', 'api'].map(sourcesIn));
  for (const path of [...sources.flat(), 'worker/workflow-bundle.ts', 'package-lock.json']) {
    digest.update(`\0${path}\0`).update(await readFile(join(root, path)));
  }
  return digest.digest('hex');
}

async function sourcesIn(folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true });
  const sources = names.filter((name) => name.endsWith('.ts')).sort();
  return sources.map((name) => join(folder, name));
}

/** Only its owner may write there: what stands in it is run. */
async function keep(directory: string, path: string, code: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const unfinished = `${path}.${randomUUID()}`;
  await writeFile(unfinished, code, { mode: 0o600 });
  await rename(unfinished, path);
  const scripts = (await readdir(directory)).map((name) => join(directory, name));
  const ages = await Promise.all(scripts.map(async (script) => ({ script, at: (await stat(script)).mtimeMs })));
  const old = ages.sort((a, b) => b.at - a.at).slice(SCRIPTS_KEPT);
  await Promise.all(old.map(({ script }) => rm(script, { force: true })));
}
