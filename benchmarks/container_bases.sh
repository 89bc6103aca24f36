#!/usr/bin/env bash
# Base images under the names that deployments/docker asks for, from Debian's packages: for a machine that reaches no
# registry of images. Needs podman and mmdebstrap, as root. Versions are Debian's: Python 3.11, PostgreSQL 15, Redis 7.0.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

base() { # NAME TAG PACKAGES [OPTION...] < further lines of the Dockerfile
    local name=$1 tag=$2 packages=$3
    shift 3
    podman image exists "localhost/$name:$tag" && return
    mmdebstrap --quiet --variant=minbase --include="ca-certificates,$packages" "$@" bookworm "$name.tar"
    podman import --quiet "$name.tar" "localhost/$name-packages:$tag"
    { echo "FROM localhost/$name-packages:$tag" && cat; } > "$name.Dockerfile"
    podman build --quiet --format docker --network host --pull=never --file "$name.Dockerfile" \
        --tag "localhost/$name:$tag" .
}

cat > start.sh <<'END'
#!/bin/sh
# As the official image: POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB make the database of a new volume.
set -eu
data=/var/lib/postgresql/data bin=$(echo /usr/lib/postgresql/*/bin)
as_postgres="setpriv --reuid postgres --regid postgres --init-groups"
install --directory --owner=postgres "$data" /var/run/postgresql
if [ ! -s "$data/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" | install --owner=postgres --mode=600 /dev/stdin /tmp/password
    $as_postgres "$bin/initdb" -D "$data" -U "$POSTGRES_USER" --pwfile /tmp/password -A scram-sha-256
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | $as_postgres "$bin/postgres" --single -D "$data" template1
fi
exec $as_postgres "$bin/postgres" -D "$data" -c listen_addresses='*'
END
chmod +x start.sh

base python 3.11.14-slim-bookworm python3,python3-venv,python3-pip <<'END'
RUN ln -s /usr/bin/python3 /usr/local/bin/python
END
base redis 7.4.6-bookworm redis-server,redis-tools <<'END'
WORKDIR /data
CMD ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"]
END
base postgres 17.6-bookworm postgresql-common \
    --customize-hook='sed -i "s/^#\?create_main_cluster.*/create_main_cluster = false/" "$1/etc/postgresql-common/createcluster.conf"' \
    --customize-hook='chroot "$1" apt-get install --yes --no-install-recommends postgresql' <<'END'
COPY start.sh /start.sh
RUN mkdir -p /var/lib/postgresql/data
ENV POSTGRES_USER=postgres POSTGRES_DB=postgres
STOPSIGNAL SIGINT
CMD ["/start.sh"]
END
