# Shared by inspect and apply. POSIX sh: dash, bash, busybox sh. Nothing secret stands in arguments or environment.
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LC_ALL=C
export PATH LC_ALL
STATE="${STATE:-/var/lib/meshlift}"
RUN="${RUN:-/run/meshlift}"
TAB="$(printf '\t')"
NEWLINE='
'

# A line of the answer; every key of it becomes a list of strings.
emit() { printf '%s\t%s\n' "$1" "$2"; }

# Every line of standard input as a value of one key.
emit_lines() { sed "s/^/$1$TAB/"; }

has() { command -v "$1" >/dev/null 2>&1; }

# Turns `key<TAB>value` lines into one JSON object of lists.
to_json() {
  awk '
    # Tabs are joined, since awks differ in what a backslash of a replacement means.
    function quoted(text,    parts, count, i) {
      gsub(/\\/, "&&", text)
      gsub(/"/, "\\\\&", text)
      count = split(text, parts, "\t")
      text = parts[1]
      for (i = 2; i <= count; i++) text = text "\\t" parts[i]
      gsub(/[\001-\037\177]/, "", text)
      return "\"" text "\""
    }
    {
      cut = index($0, "\t")
      key = substr($0, 1, cut - 1)
      value = quoted(substr($0, cut + 1))
      if (key in values) values[key] = values[key] "," value
      else {
        keys[++count] = key
        values[key] = value
      }
    }
    END {
      printf "{"
      for (i = 1; i <= count; i++) printf "%s\"%s\":[%s]", (i > 1 ? "," : ""), keys[i], values[keys[i]]
      print "}"
    }'
}

uptime_seconds() {
  read -r seconds _ </proc/uptime
  echo "${seconds%%.*}"
}

unit_property() {
  property="$(systemctl show istio.service -p "$1" 2>/dev/null)"
  printf '%s\n' "${property#*=}"
}

# The highest fence ever accepted; after a restore it outlives the journal under /run.
read_fence() {
  highest=0
  for file in "$STATE/fence" "$RUN/fence"; do
    if [ -r "$file" ] && read -r number _ <"$file" && [ "$number" -gt "$highest" ]; then highest="$number"; fi
  done
  echo "$highest"
}

proxy_request() { timeout 10 /usr/local/bin/pilot-agent request --debug-port "$1" GET "$2" 2>/dev/null; }

is_proxy_ready() { proxy_request 15021 healthz/ready >/dev/null; }

# Every certificate of a PEM file, one a line, without line breaks inside.
certificates_of() {
  awk '/-----BEGIN CERTIFICATE-----/ { inside = 1; text = ""; next }
    /-----END CERTIFICATE-----/ { if (inside) print text; inside = 0 }
    inside { gsub(/[ \r\t]/, ""); text = text $0 }' "$1" | sort -u
}
