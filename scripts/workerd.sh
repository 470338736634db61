#!/bin/sh
# workerd, which ends when whoever started it does, be it by SIGKILL.
exec setpriv --pdeathsig KILL "$(dirname "$0")/../node_modules/.bin/workerd" "$@"
