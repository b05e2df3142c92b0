#!/bin/sh
# Create the secrets of compose.yaml, each in a file of its own below secrets/. Existing ones stay as they are.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p secrets
chmod 700 secrets # no other account of this machine can enter

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

make() { # make NAME VALUE
    [ -s "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
}

make postgres-password "$(random)"
make ledger-url "postgresql://latigo:$(cat secrets/postgres-password)@postgres:5432/latigo"
make grafana-password "$(random)"
