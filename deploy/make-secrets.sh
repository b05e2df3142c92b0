#!/bin/sh
# Make the secrets of compose.yaml, each in a file of its own below secrets/. What is there already is left as it is.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p secrets
chmod 700 secrets # nobody else on this machine gets in

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

make() { # make NAME VALUE
    [ -s "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
}

make postgres-password "$(random)"
make ledger-url "postgresql://latigo:$(cat secrets/postgres-password)@postgres:5432/latigo"
make grafana-password "$(random)"
make http-token "$(random)"
