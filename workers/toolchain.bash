# shellcheck shell=bash
# What build-module and prepare-headers share: their inputs checked, the compiler found, and why a container ends badly.
# They define finish (exit code, why).

# Names that end in paths and commands.
check_names() { # variables
    local name
    for name; do
        [[ -n ${!name:-} ]] || finish 5 "$name is not set"
        [[ ${!name} =~ ^[A-Za-z0-9][A-Za-z0-9.+~:_-]*$ ]] || finish 5 "$name is not a name: ${!name}"
    done
}

# Folders below /usr/src.
check_folders() { # variables, which may be empty
    local name
    for name; do
        [[ /${!name:-} =~ ^(/[A-Za-z0-9.+~_-]*)+$ && /${!name:-}/ != */../* ]] || finish 5 "$name is not a folder: ${!name}"
    done
}

# Sets machine, arch_of_make, source_arch, triplet and cc, and puts the compiler on PATH under the names that Makefiles call it by.
find_compiler() { # folder for links
    # shellcheck disable=SC2034 # for those that source this
    case $KMODCI_ARCH in
        amd64) machine=x86_64 arch_of_make=x86_64 source_arch=x86 triplet=x86_64-linux-gnu- ;;
        arm64) machine=aarch64 arch_of_make=arm64 source_arch=arm64 triplet=aarch64-linux-gnu- ;;
        *) finish 5 "KMODCI_ARCH is not one we build for: $KMODCI_ARCH" ;;
    esac
    # on its own machine there is but the one compiler
    [[ $(uname -m) != "$machine" ]] || triplet=
    cc=$triplet$KMODCI_TOOLCHAIN
    command -v "$cc" >/dev/null || finish 5 "this image has no $cc"
    # Makefiles call for plain gcc, to make helpers and to test features; an image with gcc-N need not have it.
    mkdir -p "$1"
    local link
    for link in gcc cc; do
        ln -sf "$(command -v "$KMODCI_TOOLCHAIN")" "$1/$link"
    done
    [[ -z $triplet ]] || ln -sf "$(command -v "$cc")" "$1/${triplet}gcc"
    export PATH=$1:$PATH
}

unpack() { # archive, folder
    [[ -r $1 ]] || finish 5 "$1 is missing or not readable"
    zstd -dcq "$1" | tar -x --no-same-owner --no-same-permissions -C "$2" || finish 5 "$1 could not be unpacked"
}

# When memory is short the compiler is to die, not the worker or the shell, who have to tell about it (proc(5)).
die_first() {
    echo 1000 >/proc/self/oom_score_adj
}

# How many processes of this container were killed for memory, by cgroup v2 or v1.
oom_kills() {
    local kills
    kills=$(sed -n 's/^oom_kill //p' /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null) || true
    echo "${kills:-0}"
}

# What follows from a limit that was hit looks like anything; a log may lack the line that says it, for want of space.
refuse_oom() { # kills before
    if (($(oom_kills) > $1)); then
        # shellcheck disable=SC2034
        oom=true
        local limit=${KMODCI_MEMORY:-0}
        finish 1 "killed for memory: the limit is $((limit / 1048576)) MiB"
    fi
}

refuse_full_disk() {
    local place blocks left size
    for place in /build /tmp /usr/src; do
        read -r blocks left size < <(stat -f -c '%b %a %S' "$place")
        ((left * size >= 65536)) || finish 1 "disk full: the limit is $((blocks * size / 1048576)) MiB in $place"
    done
}
