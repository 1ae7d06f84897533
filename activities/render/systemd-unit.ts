/** What systemd is told: to capture traffic in the safe order, to keep a held machine out, and an enforced one closed at boot. */
import { captureScriptPath } from './capture-script.ts';

export const dropInPath = '/etc/systemd/system/istio.service.d/meshlift.conf';
export const closedUnitPath = '/etc/systemd/system/meshlift-closed.service';
/** Pulls the unit in by a file, which the journal can take back, instead of by a link. */
export const closedWantsPath = '/etc/systemd/system/multi-user.target.d/meshlift.conf';

/**
 * Redirection follows the proxy: on once it is ready, off before it stops, and off again should its start fail. The unit starts
 * where no hold file is, or where Meshlift itself wrote the start file, which a reboot clears. The time-out stands above the
 * longest wait of the capture script, so that the script says what is wrong before systemd loses patience.
 */
export function renderDropIn(): string {
  return `# Managed by Meshlift; root can undo everything with /var/lib/meshlift/undo.sh.
[Unit]
ConditionPathExists=|!/var/lib/meshlift/hold
ConditionPathExists=|/run/meshlift/start

[Service]
ExecStartPost=+${captureScriptPath} on
ExecStop=+${captureScriptPath} off
ExecStopPost=+${captureScriptPath} off
TimeoutStartSec=150s
`;
}

/**
 * Before the network is up at boot; ExecStop of istio.service does not run then, and not after a start that failed or was held.
 * Behind whatever loads the machine's own firewall, which would take the rule away again.
 */
export function renderClosedUnit(): string {
  return `# Managed by Meshlift; root can undo everything with /var/lib/meshlift/undo.sh.
[Unit]
Description=Keeps captured ports closed until the proxy is up
DefaultDependencies=no
ConditionPathExists=/var/lib/meshlift/enforce
RequiresMountsFor=/var/lib/meshlift /var/lib/istio
After=local-fs.target nftables.service netfilter-persistent.service iptables.service ip6tables.service ufw.service
Before=network-pre.target istio.service shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=${captureScriptPath} close
`;
}

export function renderClosedWants(): string {
  return `# Managed by Meshlift; root can undo everything with /var/lib/meshlift/undo.sh.
[Unit]
Wants=meshlift-closed.service
`;
}
