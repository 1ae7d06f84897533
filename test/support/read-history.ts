/**
 * Reads a saved history. npm gives each of Temporal's packages a protobufjs of its own, and the SDK's reader then refuses the types
 * of the other copy; so reader and types come from one package here.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import type { History } from '@temporalio/common/lib/proto-utils.js';

interface ProtoJson {
  readonly fromJson: (type: unknown, json: unknown, options: { readonly ignoreUnknownFields: boolean }) => History;
}
interface ProtoRoot {
  readonly patchProtobufRoot: (root: unknown) => { readonly lookupType: (name: string) => unknown };
}

const fromTemporal = createRequire(createRequire(import.meta.url).resolve('@temporalio/proto'));
const { fromJson } = fromTemporal('protobufjs/ext/protojson') as ProtoJson;
const { patchProtobufRoot } = fromTemporal('@temporalio/proto/lib/patch-protobuf-root') as ProtoRoot;
const historyType = patchProtobufRoot(fromTemporal('@temporalio/proto')).lookupType('temporal.api.history.v1.History');

export function readHistory(file: string): History {
  return fromJson(historyType, JSON.parse(readFileSync(file, 'utf8')), { ignoreUnknownFields: true });
}
