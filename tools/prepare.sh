#!/bin/sh
# Installs what this repository needs on a Debian machine: packages, and a virtual environment in .venv
# with the C core built.  Does nothing where all is there already.
#
#   tools/prepare.sh run    what running takes
#   tools/prepare.sh test   and what checking and measuring takes
#   tools/prepare.sh wine   and Wine, 700 MB, which only `make wine` needs
set -eu
cd "$(dirname "$0")/.."

packages="python3 python3-venv python3-dev gcc libc6-dev mmdebstrap debian-archive-keyring util-linux"
extra=""
mode=${1:-}
case $mode in
run) ;;
test | wine)
    # Tests show windows on the distribution's own Weston too, and measure waypipe beside us; X11
    # applications of many toolkits show theirs.  Clang has libFuzzer.
    packages="$packages weston waypipe valgrind cpio zstd xwayland xterm x11-apps x11-utils x11-xserver-utils xclip wl-clipboard"
    packages="$packages systemd wayland-utils xfonts-base fonts-dejavu-core python3-tk nedit mesa-utils gtk-3-examples zenity"
    packages="$packages clang libclang-rt-dev default-jre"
    extra="[test]"
    if [ "$mode" = wine ]; then
        packages="$packages wine wine64"
        mode=test
    fi
    ;;
*)
    echo "usage: $0 run|test|wine" >&2
    exit 2
    ;;
esac
mkdir -p build
log=build/prepare.log
: >"$log"

fail() {
    echo "prepare: $*" >&2
    tail -n 5 "$log" >&2
    exit 1
}

# Reads a command's output from standard input, keeps it in the log and shows how far it is; the last
# line is its exit status, because a pipe keeps that of its last command only.
show() {
    title=$1 total=0 count=0 shown=-1 status=1
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
        "exit status "*) status=${line#exit status } ;;
        *" newly installed,"*)
            total=${line#*, }
            total=$((3 * ${total%% *}))
            ;;
        Get:* | "Unpacking "* | "Setting up "*) count=$((count + 1)) ;;
        "Collecting "* | "Building wheel"* | "Building editable"* | "Installing collected"*) echo "$title: $line" | cut -c 1-100 ;;
        esac
        if [ "$total" -gt 0 ]; then
            tenth=$((count * 10 / total))
            if [ "$tenth" -gt "$shown" ] && [ "$tenth" -le 10 ]; then
                shown=$tenth
                echo "$title: $((tenth * 10))%"
            fi
        fi
    done
    return "$status"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env "$@"
    elif command -v sudo >/dev/null; then
        sudo env "$@"
    else
        echo "root rights are needed for: $*" >&2
        return 1
    fi
}

missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || fail "install these packages, or what your system calls them:$missing"
    echo "Debian packages:$missing"
    {
        status=0
        as_root DEBIAN_FRONTEND=noninteractive apt-get -q update 2>&1 || status=$?
        # shellcheck disable=SC2086 # a list of words
        [ $status != 0 ] || as_root DEBIAN_FRONTEND=noninteractive apt-get -q -y \
            -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io install --no-install-recommends $missing 2>&1 || status=$?
        echo "exit status $status"
    } | show "Debian packages" || fail "the packages could not be installed; the whole log is $log"
fi

mark=.venv/.prepared-$mode
stale=no
for file in pyproject.toml setup.py launcher/crossdomain-run crossdomain/native/*.c crossdomain/native/*.h crossdomain/native/*.cdef crossdomain/native/build.py; do
    if [ -e "$file" ] && [ -n "$(find "$file" -newer "$mark" 2>/dev/null || echo new)" ]; then
        stale=yes
    fi
done
if [ "$stale" = yes ]; then
    [ -x .venv/bin/pip ] || python3 -m venv .venv >>"$log" 2>&1 || fail "no virtual environment can be made"
    {
        status=0
        .venv/bin/pip install --disable-pip-version-check --progress-bar off --editable ".$extra" 2>&1 || status=$?
        echo "exit status $status"
    } | show "Python packages" || fail "the Python packages could not be installed; the whole log is $log"
    touch "$mark"
fi
