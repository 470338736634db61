#!/bin/sh
# esbuild, which ends when whoever started it does: one that is killed while esbuild waits for its answer is waited for without end.
exec setpriv --pdeathsig KILL sh -c '[ "$PPID" = "$0" ] && exec "$@"' "$PPID" "$MILLRACE_ESBUILD" "$@"
