/** The drop-in that makes istio.service capture traffic in the safe order, and keeps a held machine out of the mesh. */
import { captureScriptPath } from './capture-script.ts';

export const dropInPath = '/etc/systemd/system/istio.service.d/meshlift.conf';

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
