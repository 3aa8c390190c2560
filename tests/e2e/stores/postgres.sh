#!/bin/sh
# The part of the official image's entry point that the chart relies on: a database, its owner and his password.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --auth=scram-sha-256 --username="$POSTGRES_USER" --pwfile=/tmp/password --encoding=UTF8 --locale=C.UTF-8 >/tmp/initdb.log
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "create database \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA" -j postgres >/tmp/create.log
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
