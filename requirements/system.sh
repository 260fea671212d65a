#!/usr/bin/env bash
# What the tests take from Debian: Redis's own server, for what a server itself does; Chromium, for the chat page; and
# faketime, to set a server's clock. Installs what is missing; nothing that is installed is started. Who may not install
# is told what is left out.
set -euo pipefail

wanted() {
    local package=$1 program=$2 without=$3
    command -v "$program" >/dev/null && return
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "No $program, and no way to install it from here: $without. On Debian: sudo apt install $package"
        return
    fi
    install "$package" || echo "Installing $package failed: $without."
}

install() {
    local policy=/usr/sbin/policy-rc.d ours=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        ours=yes
    fi
    local failed=
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1") \
        >/dev/null || failed=yes
    [ -z "$ours" ] || rm -f "$policy"
    [ -z "$failed" ]
}

wanted redis-server redis-server "the tests run on the embedded Valkey alone"
wanted faketime faketime "no clock is set back or forth"
wanted chromium chromium "the tests of the chat page are skipped"
