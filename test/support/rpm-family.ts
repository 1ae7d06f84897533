/** Makes a machine of the sandbox one of the .rpm family: Debian's own rpm in dpkg's place, and a package built with it. */
import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { SandboxMachine } from '../../demo/sandbox-client.ts';
import { ensurePart } from '../../sandbox/cache.ts';
import { inside, pathInside } from './inside-machine.ts';

const execute = promisify(execFile);

/** rpm and rpmbuild with the libraries that a machine of the sandbox lacks. */
const packages = [
  ...['rpm', 'rpm-common', 'librpm9', 'librpmio9', 'librpmbuild9', 'librpmsign9', 'debugedit', 'libdw1', 'libicu72'],
  ...['libxml2', 'libarchive13', 'libfsverity0', 'libgomp1', 'liblua5.3-0', 'libmagic-mgc', 'libmagic1', 'libpopt0'],
  ...['libreadline8', 'libsqlite3-0', 'rpm2cpio'],
];

async function rpmDebs(): Promise<string> {
  return await ensurePart({
    name: 'rpm-tools',
    key: 'debian',
    build: async (into) => {
      const download = async () => await execute('apt-get', ['download', '-q', ...packages], { cwd: into });
      await download().catch(async () => {
        await execute('apt-get', ['update', '-q']);
        await download();
      });
    },
  });
}

/**
 * The files and the script of the sandbox's own .deb, but for its programs, as Istio's packaging lays them into an .rpm. On the
 * systems that it is for, sh is bash.
 */
const sidecar = (version: string): string => `Name: istio-sidecar
Version: ${version}
Release: 1
Summary: Istio Sidecar
License: Apache
Requires: iproute, iptables, sudo, hostname
%define _binary_payload w1.gzdio
%description
Istio Sidecar
%install
cp -a /tmp/rpm/tree/. %{buildroot}/
for program in envoy pilot-agent; do printf '#!/bin/sh\\n' >%{buildroot}/usr/local/bin/$program; done
%post -p /bin/bash
%include /tmp/rpm/control/postinst
%files
/usr/local/bin/*
/lib/systemd/system/istio.service
%config(noreplace) /var/lib/istio/envoy/sidecar.env
%config(noreplace) /var/lib/istio/envoy/envoy_bootstrap_tmpl.json
`;

/** What every system of that family has, as far as the package asks for it. */
const system = `Name: system
Version: 1
Release: 1
Summary: What is there already
License: none
Provides: iproute iptables sudo hostname
Provides: /bin/sh /bin/bash
%description
Stands for the packages of a whole system.
%files
`;

/** On the machine: the packages, and in `hidden` what Debian's own tools were. */
const place = '/opt/rpm-family';

/** From here on the machine knows rpm and no dpkg. `dependencies` installs what the package needs; it is not there before. */
export async function becomeRpmFamily(
  machine: SandboxMachine,
  deb: string,
  version: string,
): Promise<{ readonly file: string; readonly dependencies: () => Promise<void> }> {
  const debs = await rpmDebs();
  const folder = pathInside(machine, place);
  cpSync(debs, folder, { recursive: true });
  copyFileSync(deb, join(folder, 'sidecar'));
  await inside(
    machine,
    `set -e
    cd ${place}
    # The links of a merged /usr stay links.
    for file in *.deb; do dpkg-deb --fsys-tarfile $file | tar -x --keep-directory-symlink -C /; done
    ldconfig
    mkdir -p /tmp/rpm/build
    dpkg-deb -x sidecar /tmp/rpm/tree
    dpkg-deb -e sidecar /tmp/rpm/control
    cat >/tmp/rpm/sidecar.spec <<'END'
${sidecar(version)}END
    cat >/tmp/rpm/system.spec <<'END'
${system}END
    for spec in sidecar system; do
      rpmbuild --quiet -bb --define '_topdir /tmp/rpm/build' /tmp/rpm/$spec.spec >/tmp/rpm/log 2>&1 || { cat /tmp/rpm/log >&2; exit 1; }
    done
    cp /tmp/rpm/build/RPMS/*/*.rpm ${place}/
    rm -rf /tmp/rpm
    mkdir ${place}/hidden
    mv /usr/bin/dpkg /usr/bin/dpkg-query /usr/bin/dpkg-deb ${place}/hidden/`,
  );
  const built = readdirSync(folder).find((name) => name.startsWith('istio-sidecar') && name.endsWith('.rpm')) ?? '';
  return {
    file: join(folder, built),
    dependencies: async () => {
      await inside(machine, `rpm -U ${place}/system-1-1.*.rpm`);
    },
  };
}
