#!/bin/sh
# Install the Debian packages that tests need (debian-packages.txt). Whoever is not root gets the one line to type instead.
# Services that come with newly installed packages are neither started nor enabled: tests start their own.
set -eu

wanted=$(sed 's/#.*//' "$(dirname "$0")/debian-packages.txt" | awk '{ for (i = 2; i <= NF; i++) print $i }')

missing=
for package in $wanted; do
    state=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "This is not a Debian system. Tests that need these Debian packages' programs may be left out:$missing"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "For the tests that need more than Python:  sudo apt install$missing"
    exit 0
fi

# While this file says 101, invoke-rc.d starts nothing (Debian policy 9.3.3.1).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

echo "Installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
# shellcheck disable=SC2086  # a list of words
apt-get install --yes --quiet=2 --no-install-recommends --option DPkg::Lock::Timeout=300 $missing

if command -v systemctl >/dev/null; then
    for package in $missing; do
        dpkg -L "$package" | sed -n 's,^.*/systemd/system/\([^/]*\.\(service\|socket\)\)$,\1,p'
    done | xargs --no-run-if-empty systemctl disable --quiet 2>/dev/null || true
fi
