/**
 * ProxyConfig (istio.mesh.v1alpha1) as protobuf's JSON writes it: the mesh ConfigMap and the annotation
 * `proxy.istio.io/config` hold free YAML, and istioctl writes what is left of it after a round trip through protobuf.
 */
import { parse } from 'yaml';

import type { YamlMap, YamlValue } from './go-yaml.ts';

/** `google.protobuf.Duration`: written as seconds. */
const durations = new Set([
  'drainDuration',
  'discoveryRefreshDelay',
  'terminationDrainDuration',
  'fileFlushInterval',
  'pollDelay',
  'time',
  'interval',
]);
/** `BoolValue` and `Int32Value`: a false or zero that was written down is kept. */
const wrappers = new Set([
  'concurrency',
  'holdApplicationUntilProxyStarts',
  'statsCompression',
  'enableIstioTags',
  'insecureSkipVerify',
  'fallback',
  'disabled',
]);
/** The zero value of an enum is not written. */
const zeroOfEnum: Readonly<Record<string, string>> = {
  interceptionMode: 'REDIRECT',
  controlPlaneAuthPolicy: 'NONE',
  mode: 'DISABLE',
  forwardClientCertDetails: 'UNDEFINED',
};
/** Maps of strings: their keys and values are data. */
const stringMaps = new Set(['proxyMetadata', 'runtimeValues']);

export interface MeshConfigParts {
  readonly defaultConfig: YamlMap;
  readonly trustDomain: string;
}

/** Throws on text that is not YAML; unknown fields pass through, so that a newer Istio's settings are not lost. */
export function parseMeshConfig(text: string): MeshConfigParts {
  const mesh = parseYaml(text);
  const trustDomain = mesh['trustDomain'] ?? mesh['trust_domain'];
  return {
    defaultConfig: normalizeMessage(asMap(mesh['defaultConfig'] ?? mesh['default_config'])),
    trustDomain: typeof trustDomain === 'string' ? trustDomain : '',
  };
}

/** Later wins: fields are replaced whole, only `proxyMetadata` is merged key by key. */
export function overlayProxyConfig(base: YamlMap, annotation: string | undefined): YamlMap {
  if (annotation === undefined) return base;
  const overlay = normalizeMessage(parseYaml(annotation));
  const proxyMetadata = { ...asMap(base['proxyMetadata']), ...asMap(overlay['proxyMetadata']) };
  return { ...base, ...overlay, ...(Object.keys(proxyMetadata).length > 0 ? { proxyMetadata } : {}) };
}

/** A message as protobuf's JSON has it: no zero scalars, no empty lists or maps; empty messages stay. */
export function normalizeMessage(message: Readonly<Record<string, unknown>>): YamlMap {
  const result: Record<string, YamlValue> = {};
  for (const [name, value] of Object.entries(message)) {
    const key = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const normal = normalizeField(key, value);
    if (normal !== undefined) result[key] = normal;
  }
  return result;
}

function normalizeField(key: string, value: unknown): YamlValue | undefined {
  if (value === null || value === undefined) return undefined;
  if (stringMaps.has(key)) {
    const entries = Object.entries(asMap(value)).map(([name, text]) => [name, scalarText(text)] as const);
    return entries.length === 0 ? undefined : Object.fromEntries(entries);
  }
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(normalizeItem);
  if (typeof value === 'object') return normalizeMessage(asMap(value));
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return undefined;
  if (wrappers.has(key)) return value;
  if (durations.has(key) && typeof value === 'string') return seconds(value);
  return value === '' || value === 0 || value === false || zeroOfEnum[key] === value ? undefined : value;
}

const normalizeItem = (item: unknown): YamlValue =>
  typeof item === 'object' ? normalizeMessage(asMap(item)) : scalarText(item);

const scalarText = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';

/** Go's notation (`1m30s`) becomes protobuf's (`90s`, with 3, 6 or 9 digits after the point); other text stays as it is. */
function seconds(text: string): string {
  const unit: Readonly<Record<string, number>> = { h: 3600e9, m: 60e9, s: 1e9, ms: 1e6, us: 1e3, µs: 1e3, ns: 1 };
  const parts = [...text.matchAll(/([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.map(([part]) => part).join('') !== text) return text;
  const nanos = Math.round(parts.reduce((sum, [, amount, name]) => sum + Number(amount) * (unit[name ?? ''] ?? 0), 0));
  const fraction = String(nanos % 1e9)
    .padStart(9, '0')
    .replace(/(000){1,3}$/, '');
  return `${Math.floor(nanos / 1e9)}${fraction === '' ? '' : `.${fraction}`}s`;
}

/** YAML 1.1, as Istio reads it. */
const parseYaml = (text: string): YamlMap => asMap(parse(text, { version: '1.1', merge: true }));

export function asMap(value: unknown): YamlMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as YamlMap) : {};
}
