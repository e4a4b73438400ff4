# shellcheck shell=bash disable=SC2154 # what prepare-headers sets
# A header tree's programs, made again from the sources that vendors leave beside them, for prepare-headers.
#
# One by one and not by `make scripts`, because header packages lack what that would make besides: Kconfig files, drivers.

prepare_tools() {
    check_folders KMODCI_HEADERS KMODCI_HEADERS_SOURCE
    [[ -n ${KMODCI_HEADERS:-} ]] || finish 5 "KMODCI_HEADERS is not set"
    unpack /in/headers.tar.zst /usr/src
    own=/usr/src/$KMODCI_HEADERS
    places=("$own" "/usr/src/${KMODCI_HEADERS_SOURCE:-$KMODCI_HEADERS}")
    [[ -e $own/include ]] || finish 5 "the headers have no $KMODCI_HEADERS"
    local program made=()
    # scripts/basic/fixdep comes first: kbuild compiles with it
    while read -r program; do
        [[ -n $program ]] || continue
        make_program "$program" || failed "$program cannot run here and cannot be made again"
        made+=("$program")
    done < <(sort <<<"${KMODCI_PROGRAMS:-}")
    while read -r program; do
        [[ -n $program ]] && make_program "$program" && made+=("$program")
    done <<<"${KMODCI_PROGRAMS_IF_EASY:-}"
    ((${#made[@]} > 0)) || finish 5 "no programs are asked for"
    tar -C "$own" -cf - -- "${made[@]}" || failed "handing back the programs"
}

# Into $own; fails where it cannot be made.
make_program() { # path below the tree
    [[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$ ]] || finish 5 "not a program's name: $1"
    # what was said of others is no reason
    : >"$LOG"
    # it may be a link, to a program that stands for several
    rm -f "${own:?}/$1"
    case $1 in
        scripts/mod/modpost) make_modpost ;;
        scripts/genksyms/genksyms) make_genksyms ;;
        tools/objtool/objtool) make_objtool ;;
        scripts/sign-file) compile "$1" "$1.c" -lcrypto ;;
        *) compile "$1" "$1.c" ;;
    esac
    [[ -x $own/$1 ]]
}

# The first of the kernel's folders that has a file.
having() { # path
    local place
    for place in "${places[@]}"; do
        if [[ -f $place/$1 ]]; then
            echo "$place"
            return
        fi
    done
    echo "fatal error: the headers have no $1" >>"$LOG"
    return 1
}

compile() { # program, its first source, others and options
    local place
    place=$(having "$2") || return 1
    run gcc -O2 -o "$own/$1" -I "$own/${2%/*}" -I "$place/${2%/*}" -I "$place/scripts/include" "$place/$2" "${@:3}"
}

# What the compiler of the kernel makes of the structures by which devices are told apart is in two generated headers,
# where the package does not have them.
make_modpost() {
    local mod=scripts/mod place object objects sources=()
    place=$(having $mod/modpost.c) || return 1
    objects=$(sed -n 's/^modpost-objs[ \t]*:=[ \t]*//p' "$place/$mod/Makefile")
    for object in $objects; do
        [[ $object == modpost.o ]] || sources+=("$place/$mod/${object%.o}.c")
    done
    having $mod/devicetable-offsets.h >/dev/null || make_offsets || return 1
    if grep -q '"elfconfig.h"' "$place/$mod/modpost.h" && ! having $mod/elfconfig.h >/dev/null; then
        make_elfconfig || return 1
    fi
    compile $mod/modpost $mod/modpost.c "${sources[@]}"
}

make_offsets() {
    local place file=devicetable-offsets work=$ROOT/offsets
    place=$(having scripts/mod/$file.c) || return 1
    mkdir -p "$work"
    cp "$place/scripts/mod/$file.c" "$work"
    echo "always-y := $file.s" >"$work/Kbuild"
    run_make "$own" M="$work" "$file.s" || return 1
    # "->SIZE_usb_device_id $32 sizeof(struct usb_device_id)" (include/linux/kbuild.h)
    sed -nE 's/^[[:space:]]*\.ascii[[:space:]]*"->([A-Za-z0-9_]+) [$#]*([0-9]+) .*/#define \1 \2/p' "$work/$file.s" \
        >"$own/scripts/mod/$file.h"
}

make_elfconfig() {
    local place
    place=$(having scripts/mod/mk_elfconfig.c) || return 1
    run gcc -o "$ROOT/mk_elfconfig" "$place/scripts/mod/mk_elfconfig.c" && run "$cc" -c -o "$ROOT/empty.o" -x c /dev/null &&
        "$ROOT/mk_elfconfig" <"$ROOT/empty.o" >"$own/scripts/mod/elfconfig.h"
}

make_genksyms() {
    local place folder=scripts/genksyms work=$ROOT/genksyms
    place=$(having $folder/genksyms.c) || return 1
    mkdir -p "$work"
    run flex -o "$work/lex.lex.c" -L "$place/$folder/lex.l" &&
        run bison -o "$work/parse.tab.c" --defines="$work/parse.tab.h" -t -l "$place/$folder/parse.y" &&
        compile $folder/genksyms $folder/genksyms.c "$work/lex.lex.c" "$work/parse.tab.c" -I "$work"
}

# It has a build of its own (tools/build), which would use again what the vendor's left.
make_objtool() {
    local place
    place=$(having tools/objtool/check.c) || return 1
    find "$place/tools" -name '*.[oa]' -delete
    run make -C "$place/tools/objtool" -j"${KMODCI_JOBS:-1}" ARCH="$arch_of_make" SRCARCH="$source_arch" CC=gcc HOSTCC=gcc || return 1
    [[ $place == "$own" ]] || cp "$place/tools/objtool/objtool" "$own/tools/objtool/objtool"
}
