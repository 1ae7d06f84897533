# Shared by inspect and apply. POSIX sh: dash, bash, busybox sh. Nothing secret stands in arguments or environment.
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LC_ALL=C
export PATH LC_ALL
STATE="${STATE:-/var/lib/meshlift}"
RUN="${RUN:-/run/meshlift}"
TAB='	'
NEWLINE='
'

# A line of the answer: a key, which may come again, and its value.
emit() { printf '%s\t%s\n' "$1" "$2"; }

# Every line of standard input as a value of one key.
emit_lines() { sed "s/^/$1$TAB/"; }

has() { command -v "$1" >/dev/null 2>&1; }

# What an answer stands between: a login shell may print before it and after it.
ANSWER_BEGINS='-----BEGIN MESHLIFT ANSWER-----'
ANSWER_ENDS='-----END MESHLIFT ANSWER-----'

uptime_seconds() {
  read -r seconds _ </proc/uptime
  echo "${seconds%%.*}"
}

unit_property() {
  property="$(systemctl show istio.service -p "$1" 2>/dev/null)"
  printf '%s\n' "${property#*=}"
}

# Sets `highest` to the highest fence ever accepted; after a restore it outlives the journal under /run.
read_fence() {
  highest=0
  for file in "$STATE/fence" "$RUN/fence"; do
    if [ -r "$file" ] && read -r number _ <"$file" && [ "$number" -gt "$highest" ]; then highest="$number"; fi
  done
}

proxy_request() { timeout 10 /usr/local/bin/pilot-agent request --debug-port "$1" GET "$2" 2>/dev/null; }

is_proxy_ready() { proxy_request 15021 healthz/ready >/dev/null; }

# Every certificate of a PEM file, one a line, without line breaks inside.
certificates_of() {
  awk '/-----BEGIN CERTIFICATE-----/ { inside = 1; text = ""; next }
    /-----END CERTIFICATE-----/ { if (inside) print text; inside = 0 }
    inside { gsub(/[ \r\t]/, ""); text = text $0 }' "$1" | sort -u
}
