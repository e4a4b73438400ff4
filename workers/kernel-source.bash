# shellcheck shell=bash disable=SC2154 # what prepare-headers sets
# From a kernel's source and configuration to the header tree that module builds need, for prepare-headers.

readonly TREE=/build/linux

prepare_source() {
    unpack_source
    set_release
    configure
    run_make "$TREE" modules_prepare || failed "make modules_prepare"
    local made
    made=$(<"$TREE/include/config/kernel.release")
    [[ $made == "$release" ]] || finish 1 "the kernel calls itself ${made:0:100}, not $release"
    hand_back_tree
}

# What modules_prepare and module builds read, 160 MB of 1.5 GB; with all of Kconfig, whose files name others everywhere.
unpack_source() {
    [[ -r /in/source.tar ]] || finish 5 "/in/source.tar is missing or not readable"
    local top folder out=()
    top=$(tar -tf /in/source.tar 2>/dev/null | head -n 1) || true
    top=${top%%/*}
    [[ $top =~ ^[A-Za-z0-9][A-Za-z0-9.+_-]*$ ]] || finish 5 "the source is no archive with one top folder"
    # what has no suffix there is Kconfig
    out+=("$top/Documentation/*.*" "$top/LICENSES/*" "$top/tools/testing/*" "$top/tools/perf/*")
    out+=("$top/arch/*/dts/*" "$top/arch/*/configs/*")
    for folder in drivers fs net rust samples sound; do
        out+=("$top/$folder/*.[chS]" "$top/$folder/*.rs")
    done
    for folder in alpha arc arm64 csky hexagon ia64 loongarch m68k microblaze mips nios2 openrisc parisc powerpc riscv s390 sh sparc um x86 xtensa; do
        [[ $folder == "$source_arch" ]] || out+=("$top/arch/$folder/*.[chS]")
    done
    # whose headers arm64 shares (arch/arm64/include/asm/opcodes.h)
    out+=("$top/arch/arm/*.[cS]")
    mkdir "$TREE"
    tar -C "$TREE" -xf /in/source.tar --strip-components=1 --no-same-owner --no-same-permissions --anchored --wildcards \
        "${out[@]/#/--exclude=}" 2>>"$LOG" || {
        refuse_full_disk
        finish 5 "the source could not be unpacked: $(tail -n 1 "$LOG")"
    }
    cd "$TREE" || return
    [[ -f Makefile && -f Kconfig && -d scripts/mod && -d include && -d arch/$source_arch ]] ||
        finish 5 "the source is not a kernel's"
    # It works on vmlinux, which is not made here, and to make it takes Python.
    [[ ! -d tools/bpf/resolve_btfids ]] || printf 'all clean:\n' >tools/bpf/resolve_btfids/Makefile
}

# `uname -r` is the Makefile's version with EXTRAVERSION, localversion* files, CONFIG_LOCALVERSION and LOCALVERSION
# (scripts/setlocalversion). What is asked for beyond the numbers becomes the first of these, and the others nothing.
set_release() {
    local version extra
    version=$(of_makefile VERSION).$(of_makefile PATCHLEVEL).$(of_makefile SUBLEVEL)
    extra=${release#"$version"}
    [[ $release == "$version"* && $extra != [0-9]* ]] || finish 5 "the source is of Linux ${version:0:40}, not of $release"
    sed -i "s/^EXTRAVERSION *=.*/EXTRAVERSION = $extra/" Makefile
    rm -rf localversion*
}

of_makefile() {
    sed -n "s/^$1 *= *\([0-9]*\) *$/\1/p" Makefile | head -n 1
}

configure() {
    [[ -s /in/config ]] || finish 5 "the configuration is missing or empty"
    sed -e '/^CONFIG_LOCALVERSION=/d' -e '/^CONFIG_LOCALVERSION_AUTO=/d' /in/config >.config
    printf 'CONFIG_LOCALVERSION=""\n# CONFIG_LOCALVERSION_AUTO is not set\n' >>.config
    run_make "$TREE" olddefconfig || failed "make olddefconfig"
    is_set MODULES || finish 5 "the kernel takes no modules: CONFIG_MODULES is not set"
    # modules_prepare makes no Module.symvers (Documentation/kbuild/modules.rst)
    if is_set MODVERSIONS && [[ ${KMODCI_HAS_SYMVERS:-} != yes ]]; then
        finish 5 "CONFIG_MODVERSIONS is set, and there is no Module.symvers with the CRCs of the kernel's symbols"
    fi
    refuse_other_structures
}

is_set() {
    grep -q "^CONFIG_$1=y" .config
}

# An option that this source has and that is off now, because something for it is not in the image, can mean other
# structures than the kernel's (GCC_PLUGIN_STACKLEAK, DEBUG_INFO_BTF). Not if that is a compiler of Rust or for 32-bit ARM.
refuse_other_structures() {
    local lost
    lost=$(comm -12 <(chosen_options) <(comm -23 <(switched_on /in/config) <(switched_on .config)))
    [[ -z $lost ]] || finish 1 "with this source and compiler the configuration would lose ${lost//$'\n'/ }"
}

switched_on() { # configuration
    sed -n 's/^CONFIG_\([A-Za-z0-9_]*\)=[ym]$/\1/p' "$1" | sort -u
}

# Those that people choose, from which the others follow.
chosen_options() {
    # shellcheck disable=SC2016 # awk's
    find . -name 'Kconfig*' -type f -exec cat {} + | awk '
        function ended() { if (chosen && !of_rust) print name; chosen = of_rust = 0; name = "" }
        /^[ \t]*(menu)?config[ \t]/ { ended(); name = $2; of_rust = name ~ /RUST/; next }
        /^[ \t]*(choice|comment|endchoice|endif|endmenu|if|mainmenu|menu|source)([ \t]|$)/ { ended() }
        name && /^[ \t]*(bool|tristate|prompt)[ \t]+"/ { chosen = 1 }
        name && /^[ \t]*depends on .*RUST/ { of_rust = 1 }
        END { ended() }' | grep -vx -e COMPAT_VDSO -e THUMB2_COMPAT_VDSO | sort -u
}

# As distributions pack it: what is compiled again for each kernel, and what kbuild reads and runs to compile a module.
hand_back_tree() {
    cd "$ROOT" || return
    local arch=linux/arch/$source_arch
    find linux/Makefile linux/.config linux/include linux/scripts "$arch" linux/arch/arm/include linux/tools/objtool/objtool \
        \( -type f -o -type l \) ! -name '*.[oad]' ! -name '*.cmd' ! -name '*.tmp' ! -path 'linux/scripts/dtc/include-prefixes/*' \
        \( ! -path "$arch/*" -o -path "$arch/include/*" -o -name 'Makefile*' -o -name 'Kbuild*' -o -name '*.lds' \) \
        -print0 2>>"$LOG" >"$ROOT/list" || [[ -s $ROOT/list ]]
    tar -cf - --null -T "$ROOT/list" || failed "handing back the tree"
}
