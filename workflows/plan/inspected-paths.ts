/** The files that an inspection digests: all that Meshlift writes on a machine. */
export const inspectedPaths: readonly string[] = [
  '/var/lib/istio/envoy/cluster.env',
  '/etc/istio/config/mesh',
  '/etc/certs/root-cert.pem',
  '/var/run/secrets/tokens/istio-token',
  '/etc/systemd/system/istio.service.d/meshlift.conf',
  '/etc/systemd/system/meshlift-closed.service',
  '/etc/systemd/system/multi-user.target.d/meshlift.conf',
  '/var/lib/meshlift/bin/capture',
  '/var/lib/meshlift/exclude-ports',
  '/var/lib/meshlift/enforce',
];
