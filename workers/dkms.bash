# What a dkms.conf says, understood as DKMS 3 understands it (dkms(8), "DKMS.CONF"), and built as DKMS would.
# Sourced by build-module, which has set kernelver, arch, kernel_source_dir, dkms_tree, source_tree, source_dir and jobs.
# shellcheck shell=bash disable=SC2030,SC2031,SC2153,SC2154,SC2164
#
# DKMS itself is not used: it wants to be root, to install, and to have the kernel it builds for be of the machine's own
# architecture; and Debian 11's is too old to know BUILD_EXCLUSIVE_KERNEL_MIN, so modules would be tried that should not.

readonly DKMS_VARIABLES=(
    PACKAGE_NAME PACKAGE_VERSION BUILT_MODULE_NAME BUILT_MODULE_LOCATION DEST_MODULE_NAME DEST_MODULE_LOCATION
    MAKE MAKE_MATCH PATCH PATCH_MATCH PRE_BUILD POST_BUILD BUILD_DEPENDS OBSOLETE_BY
    BUILD_EXCLUSIVE_KERNEL BUILD_EXCLUSIVE_KERNEL_MIN BUILD_EXCLUSIVE_KERNEL_MAX BUILD_EXCLUSIVE_ARCH BUILD_EXCLUSIVE_CONFIG
)

# Prints, as bash declarations: package_name, package_version, names[] and locations[] of what is built, destinations[],
# make_command, patches[], pre_build, post_build, problem (why the file is no good) and excluded (why not for this kernel).
# The file is a shell script, so it runs in a subshell, where it can change nothing of ours.
dkms_read() ( # dkms.conf
    set +eu
    problem='' excluded=''
    if [[ -e $kernel_source_dir/include/config/auto.conf ]]; then
        kernel_config=$kernel_source_dir/include/config/auto.conf
    else
        kernel_config=$kernel_source_dir/.config
    fi
    # A first time for the package's name, which the second time may make use of.
    module=$KMODCI_MODULE module_version=$KMODCI_MODULE_VERSION
    identity=$(dkms_source "$1"; printf '%s\n%s\n' "$PACKAGE_NAME" "$PACKAGE_VERSION")
    { read -r package_name && read -r package_version; } <<<"$identity"
    [[ -n $package_name ]] || dkms_problem "no PACKAGE_NAME"
    [[ -n $package_version ]] || dkms_problem "no PACKAGE_VERSION"
    # In a source repository the version may still be a placeholder, such as #MODULE_VERSION#.
    [[ $package_name =~ ^[A-Za-z0-9][A-Za-z0-9.+_-]*$ ]] || package_name=$KMODCI_MODULE
    [[ $package_version =~ ^[A-Za-z0-9][A-Za-z0-9.+~:_-]*$ ]] || package_version=$KMODCI_MODULE_VERSION
    module=$package_name module_version=$package_version
    dkms_source "$1"
    build_dir=$dkms_tree/$module/$module_version/build
    dkms_modules
    dkms_make_command
    dkms_patches
    dkms_exclusion
    [[ ${#BUILD_DEPENDS[@]} == 0 ]] || dkms_problem "BUILD_DEPENDS is not supported: ${BUILD_DEPENDS[*]}"
    pre_build=$PRE_BUILD post_build=$POST_BUILD
    declare -p package_name package_version names locations destinations make_command patches pre_build post_build problem excluded
)

dkms_source() { # dkms.conf
    local said name index
    said=$(dkms_declarations "$1")
    unset "${DKMS_VARIABLES[@]}"
    eval "$said"
    for name in "${DKMS_VARIABLES[@]}"; do
        local -n variable=$name
        for index in "${!variable[@]}"; do
            variable[index]=$(dkms_expand "${variable[index]}")
        done
    done
}

# Only DKMS's own variables get out of a dkms.conf; -g, because a declaration within a function is local otherwise.
dkms_declarations() { # dkms.conf
    local name
    unset "${DKMS_VARIABLES[@]}"
    # shellcheck disable=SC1090
    . "$1" >/dev/null
    PATH=/usr/bin:/bin
    for name in "${DKMS_VARIABLES[@]}"; do
        declare -p "$name" 2>/dev/null
    done | sed 's/^declare /declare -g /'
}

# DKMS writes what it read to a file, between double quotes, and reads that again. So a value in single quotes has its
# variables replaced after all, which many a dkms.conf counts on, and white space is reduced to single spaces.
dkms_expand() { # value
    local words again
    set -f
    # shellcheck disable=SC2206
    words=(${1%$'\r'})
    eval "again=\"${words[*]}\""
    printf '%s' "$again"
}

dkms_problem() { # what is wrong; the first one is told
    problem=${problem:-$1}
}

dkms_modules() {
    local index last=-1
    names=() locations=() destinations=()
    for index in "${!BUILT_MODULE_NAME[@]}" "${!BUILT_MODULE_LOCATION[@]}" "${!DEST_MODULE_NAME[@]}" "${!DEST_MODULE_LOCATION[@]}"; do
        ((index <= last)) || last=$index
    done
    for ((index = 0; index <= last; index++)); do
        names[index]=${BUILT_MODULE_NAME[index]}
        [[ -n ${names[index]} || $last != 0 ]] || names[index]=$PACKAGE_NAME
        [[ -n ${names[index]} ]] || dkms_problem "no BUILT_MODULE_NAME[$index]"
        [[ ${names[index]} != *.o && ${names[index]} != *.ko ]] || dkms_problem "BUILT_MODULE_NAME[$index] ends in .o or .ko"
        destinations[index]=${DEST_MODULE_NAME[index]:-${names[index]}}
        locations[index]=${BUILT_MODULE_LOCATION[index]:+${BUILT_MODULE_LOCATION[index]%/}/}
        [[ ${DEST_MODULE_LOCATION[index]} =~ ^/(kernel|updates|extra) ]] ||
            dkms_problem "DEST_MODULE_LOCATION[$index] does not begin with /kernel, /updates or /extra"
    done
}

dkms_make_command() {
    local index
    make_command=
    [[ -n ${MAKE_MATCH[0]} ]] || make_command=${MAKE[0]}
    for index in "${!MAKE[@]}"; do
        if [[ -n ${MAKE[index]} && -n ${MAKE_MATCH[index]} && $kernelver =~ ${MAKE_MATCH[index]} ]]; then
            make_command=${MAKE[index]}
        fi
    done
    [[ -n $make_command ]] || make_command="make -C $kernel_source_dir M=$build_dir"
    make_command=${make_command/#make/make -j$jobs KERNELRELEASE=$kernelver}
}

dkms_patches() {
    local index
    patches=()
    for index in "${!PATCH[@]}"; do
        if [[ -n ${PATCH[index]} && (-z ${PATCH_MATCH[index]} || $kernelver =~ ${PATCH_MATCH[index]}) ]]; then
            patches+=("${PATCH[index]}")
        fi
    done
}

dkms_exclusion() {
    local min=$BUILD_EXCLUSIVE_KERNEL_MIN max=${BUILD_EXCLUSIVE_KERNEL_MAX:-$OBSOLETE_BY} option
    if [[ -n $BUILD_EXCLUSIVE_KERNEL && ! $kernelver =~ $BUILD_EXCLUSIVE_KERNEL ]]; then
        excluded="BUILD_EXCLUSIVE_KERNEL is $BUILD_EXCLUSIVE_KERNEL, and the kernel is $kernelver"
    fi
    if [[ -n $min && $(dkms_comparable "$kernelver") < $(dkms_comparable "$min") ]]; then
        excluded="BUILD_EXCLUSIVE_KERNEL_MIN is $min, and the kernel is $kernelver"
    fi
    if [[ -n $max && $(dkms_comparable "$kernelver") > $(dkms_comparable "$max") ]]; then
        excluded="BUILD_EXCLUSIVE_KERNEL_MAX is $max, and the kernel is $kernelver"
    fi
    if [[ -n $BUILD_EXCLUSIVE_ARCH && ! $arch =~ $BUILD_EXCLUSIVE_ARCH ]]; then
        excluded="BUILD_EXCLUSIVE_ARCH is $BUILD_EXCLUSIVE_ARCH, and the architecture is $arch"
    fi
    [[ -e $kernel_config ]] || return 0
    for option in $BUILD_EXCLUSIVE_CONFIG; do
        if grep -q "^${option#!}=[ym]" "$kernel_config"; then
            [[ $option != !* ]] || excluded="BUILD_EXCLUSIVE_CONFIG has $option, and the kernel has ${option#!}"
        else
            [[ $option == !* ]] || excluded="BUILD_EXCLUSIVE_CONFIG has $option, and the kernel has it not"
        fi
    done
}

# A version as a string that sorts as DKMS sorts it: every number at least three digits long.
dkms_comparable() { # version
    local rest=$1 done='' number
    while [[ $rest =~ ^([^0-9]*)([0-9]+)(.*)$ ]]; do
        number=${BASH_REMATCH[2]}
        while ((${#number} < 3)); do number=0$number; done
        done+=${BASH_REMATCH[1]}$number
        rest=${BASH_REMATCH[3]}
    done
    printf '%s' "$done$rest"
}

# Builds as planned by dkms_read: in a copy of the source, in the folders that DKMS has, so that scripts find their way.
dkms_build() {
    local base=$dkms_tree/$package_name/$package_version index patch module=$package_name module_version=$package_version
    mkdir -p "$base/$kernelver/$arch/module"
    cp -a "$source_dir" "$base/build"
    ln -sfn "$source_dir" "$base/source"
    [[ -e $source_tree/$package_name-$package_version ]] || ln -s "$source_dir" "$source_tree/$package_name-$package_version"
    cd "$base/build"
    for patch in "${patches[@]}"; do
        run_logged patch -p1 -i "patches/$patch" || finish 1 "patch $patch does not apply"
    done
    dkms_script PRE_BUILD "$pre_build"
    run_timed eval "$make_command" || build_failed
    for index in "${!names[@]}"; do
        [[ -e ${locations[index]}${names[index]}.ko ]] ||
            made_too_little "the build made no ${locations[index]}${names[index]}.ko"
        cp "${locations[index]}${names[index]}.ko" "$base/$kernelver/$arch/module/${destinations[index]}.ko"
    done
    dkms_script POST_BUILD "$post_build"
    for index in "${!names[@]}"; do
        keep "$base/$kernelver/$arch/module/${destinations[index]}.ko" "${destinations[index]}.ko"
    done
}

dkms_script() { # directive, script with arguments
    [[ -n $2 ]] || return 0
    if [[ ! -x ./${2%% *} ]]; then
        echo "warning: $1 ${2%% *} is not executable, so it is not run"
        return 0
    fi
    run_logged eval "./$2" || build_failed
}
