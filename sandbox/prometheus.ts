/** Prometheus, on loopback: it scrapes the proxies of pods and of machines, which a process beside it lists. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { paths, ports, RUN } from './layout.ts';
import { prometheusFolder } from './parts/debian.ts';
import { start, waitUntilReady } from './processes.ts';

export const prometheusUrl = `http://127.0.0.1:${ports.prometheus}`;

const home = join(RUN, 'prometheus');
const targets = join(home, 'targets.json');

/** A test sees a rate some seconds after the requests; more often would cost the proxies what tests measure. */
const configuration = `global:
  scrape_interval: 5s
  scrape_timeout: 5s
scrape_configs:
  - job_name: proxies
    metrics_path: /stats/prometheus
    file_sd_configs:
      - files: [${targets}]
`;

export async function startPrometheus(): Promise<void> {
  mkdirSync(home, { recursive: true });
  const config = join(home, 'prometheus.yml');
  writeFileSync(config, configuration);
  const script = join(import.meta.dirname, 'prometheus-targets.ts');
  start({ name: 'prometheus-targets', file: process.execPath, args: [script, paths.kubeconfig, paths.state, targets] });
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(home, 'data')}`,
    `--web.listen-address=127.0.0.1:${ports.prometheus}`,
    '--storage.tsdb.retention.time=2h',
  ];
  const file = join(await prometheusFolder(), 'usr', 'bin', 'prometheus');
  const pid = start({ name: 'prometheus', file, args, cwd: home });
  await waitUntilReady({ name: 'prometheus', pid }, 60_000, async () => (await fetch(`${prometheusUrl}/-/ready`)).ok);
}
