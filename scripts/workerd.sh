#!/bin/sh
# workerd, which ends when whoever started it does, be it by SIGKILL, and does not begin where that was before.
exec setpriv --pdeathsig KILL sh -c '[ "$PPID" = "$0" ] && exec "$@"' "$PPID" "$(dirname "$0")/../node_modules/.bin/workerd" "$@"
