#!/bin/sh
# SPDX-License-Identifier: MIT
#
# certificates.sh FOLDER - makes certificates for a cluster on this machine, with openssl:
#
#   ca.pem                  who signs
#   NAME.pem, NAME.key      of a task: for localhost and 127.0.0.1, as dataflow://cluster/NAME.
#                           NAME: master-0, worker-0, worker-1, worker-2
#   other-ca.pem, stranger.pem, stranger.key    signed by somebody else
#   expired.pem, expired.key                    signed by the right one, and no longer good
#   elsewhere.pem, elsewhere.key                likewise, for another host
#
# For real clusters put the hosts of the tasks where localhost stands, and keep ca.key away from them.
set -eu
mkdir -p "$1"
cd "$1"
[ ! -f done ] || exit 0

# authority NAME
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
        -subj "/CN=$1" -keyout "$1.key" -out "$1.pem" 2>/dev/null
}

# certificate NAME CA HOSTS [OPTION...]
certificate() {
    name=$1 ca=$2 hosts=$3
    shift 3
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
        -keyout "$name.key" -out "$name.csr" 2>/dev/null
    echo "subjectAltName=URI:dataflow://cluster/$name,$hosts" >"$name.ext"
    openssl x509 -req -in "$name.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial \
        -extfile "$name.ext" -out "$name.pem" "$@" 2>/dev/null
    rm "$name.csr" "$name.ext"
}

here=DNS:localhost,IP:127.0.0.1
authority ca
authority other-ca
for task in master-0 worker-0 worker-1 worker-2; do
    certificate $task ca $here -days 3650
done
certificate stranger other-ca $here -days 3650
certificate elsewhere ca DNS:elsewhere.example -days 3650
certificate expired ca $here -days -1
: >done
