#!/bin/bash
# Health check of a container: does PATH on our own port answer 200? Bash alone; a Python that starts
# every few seconds in every container would cost more than the services do at rest. With `show` the
# answer itself is printed, for an operator.
# usage: healthy.sh PATH [show]
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${BANKA_HTTP_PORT:-8000}"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3
read -r status <&3
if [ "${2:-}" = show ]; then
    sed '1,/^\r$/d' <&3
    echo
fi
case $status in
    *' 200 '*) ;;
    *)
        cat <&3 | tail -n 1
        exit 1
        ;;
esac
