"""What dkms.bash makes of a dkms.conf: by itself, and beside DKMS 3 as Debian 13 has it."""

import subprocess
from pathlib import Path

import docker
import pytest
from kmodci.workerbundle import SCRIPTS
from support.containers import toolchain_image

RELEASE = "6.1.0-50-amd64"
CONFIG = "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n"
HEAD = 'PACKAGE_NAME="mod"\nPACKAGE_VERSION="1.0"\nBUILT_MODULE_NAME[0]="mod"\nDEST_MODULE_LOCATION[0]="/extra"\n'

CASES = {
    "nothing said": "",
    "own make": 'MAKE[0]="make -C ${kernel_source_dir} M=${dkms_tree}/mod/1.0/build KVER=$kernelver"',
    "single quotes": "MAKE[0]='make all KVER=${kernelver} SRC=$source_tree/$module-$module_version'",
    "quotes within": "MAKE='make \"A=1 2\" B=2'",
    "white space": 'MAKE="make   all \\\n   X=1"',
    "not make": 'MAKE="./build.sh $kernelver"',
    "quoted make": "MAKE=\"'make' all\"",
    "make match": 'MAKE[0]="make old"\nMAKE[1]="make new"\nMAKE_MATCH[1]="^6\\."',
    "make match of another": 'MAKE[0]="make old"\nMAKE[1]="make new"\nMAKE_MATCH[1]="^7\\."',
    "only matches": 'MAKE[0]="make new"\nMAKE_MATCH[0]="^7\\."',
    "carriage returns": 'MAKE="make all"\r\nBUILD_EXCLUSIVE_KERNEL_MIN="6.1"\r\n',
    "kernel": 'BUILD_EXCLUSIVE_KERNEL="^6\\.1\\."',
    "kernel, another": 'BUILD_EXCLUSIVE_KERNEL="^5\\.(4|10)\\."',
    "kernel, words": 'BUILD_EXCLUSIVE_KERNEL="REQUIRES CONFIG_VIDEO_DEV"',
    "min": 'BUILD_EXCLUSIVE_KERNEL_MIN="6.1"',
    "min, later": 'BUILD_EXCLUSIVE_KERNEL_MIN="6.2"',
    "min, ten": 'BUILD_EXCLUSIVE_KERNEL_MIN="6.10"',
    "min, one digit": 'BUILD_EXCLUSIVE_KERNEL_MIN="6"',
    "max": 'BUILD_EXCLUSIVE_KERNEL_MAX="6.1"',
    "max, later": 'BUILD_EXCLUSIVE_KERNEL_MAX="6.10.99"',
    "max, exact": f'BUILD_EXCLUSIVE_KERNEL_MAX="{RELEASE}"',
    "obsolete": 'OBSOLETE_BY="6.0"',
    "obsolete later": 'OBSOLETE_BY="6.12"',
    "obsolete but max": 'OBSOLETE_BY="6.0"\nBUILD_EXCLUSIVE_KERNEL_MAX="6.12"',
    "arch": 'BUILD_EXCLUSIVE_ARCH="x86_64"',
    "arch, part": 'BUILD_EXCLUSIVE_ARCH="86"',
    "arch, another": 'BUILD_EXCLUSIVE_ARCH="^aarch64$"',
    "config": 'BUILD_EXCLUSIVE_CONFIG="CONFIG_A CONFIG_B"',
    "config, missing": 'BUILD_EXCLUSIVE_CONFIG="CONFIG_A CONFIG_C"',
    "config, not": 'BUILD_EXCLUSIVE_CONFIG="!CONFIG_C"',
    "config, not but": 'BUILD_EXCLUSIVE_CONFIG="!CONFIG_B"',
    "own variables": 'where=/opt\nMAKE="make SRC=$where"',
    "own variables, later": "where=/opt\nMAKE='make SRC=$where'",
    "leaves early": "exit 0",
    "decided by shell": '[ "$arch" = x86_64 ] && [ -d "$kernel_source_dir" ] && BUILD_EXCLUSIVE_ARCH=never',
}

_ASK = """
set -euo pipefail
. "$SCRIPTS/dkms.bash"
dkms_tree=/var/lib/dkms source_tree=/usr/src kernelver=$KERNELVER arch=x86_64 kernel_source_dir=$KERNEL jobs=1
KMODCI_MODULE=ours KMODCI_MODULE_VERSION=0.1
dkms_read "$CONF" >"$CONF.plan"
. "$CONF.plan"
for name in package_name package_version make_command excluded problem names patches; do
    declare -n value=$name
    printf '%s=%s\\0' "$name" "${value[*]}"
done
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    folder = tmp_path / "kernel"
    (folder / "include" / "config").mkdir(parents=True)
    (folder / "include" / "config" / "auto.conf").write_text(CONFIG)
    return folder


def read(conf: str, kernel: Path, *, release: str = RELEASE) -> dict[str, str]:
    path = kernel.parent / "dkms.conf"
    path.write_text(conf)
    environment = {"SCRIPTS": str(SCRIPTS), "CONF": str(path), "KERNEL": str(kernel), "KERNELVER": release}
    done = subprocess.run(
        ["bash", "-c", _ASK], env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.split("\0")[:-1])


def test_what_is_built_by_default(kernel: Path) -> None:
    plan = read(HEAD, kernel)
    assert plan["names"] == "mod"
    assert plan["problem"] == plan["excluded"] == ""
    assert plan["make_command"] == f"make -j1 KERNELRELEASE={RELEASE} -C {kernel} M=/var/lib/dkms/mod/1.0/build"


def test_a_single_module_is_named_like_the_package(kernel: Path) -> None:
    assert read('PACKAGE_NAME=mod\nPACKAGE_VERSION=1\nDEST_MODULE_LOCATION="/extra"', kernel)["names"] == "mod"


def test_patches_for_this_kernel(kernel: Path) -> None:
    conf = HEAD + 'PATCH[0]=always\nPATCH[1]=old\nPATCH_MATCH[1]="^5"\nPATCH[2]=new\nPATCH_MATCH[2]="^6"\n'
    assert read(conf, kernel)["patches"] == "always new"


def test_a_placeholder_is_no_version(kernel: Path) -> None:
    plan = read(HEAD.replace("1.0", "#MODULE_VERSION#"), kernel)
    assert plan["package_version"] == "0.1"


def test_what_it_prints_and_sets_does_not_get_out(kernel: Path) -> None:
    plan = read(
        HEAD + "echo excluded=ha\nexcluded=ha problem=ha dkms_tree=/evil PATH=/evil\nMAKE='make $dkms_tree'", kernel
    )
    assert plan["excluded"] == plan["problem"] == ""
    assert plan["make_command"].endswith("/var/lib/dkms")


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ('PACKAGE_VERSION=1\nDEST_MODULE_LOCATION="/extra"', "no PACKAGE_NAME"),
        (HEAD + 'DEST_MODULE_LOCATION[1]="/extra"', "no BUILT_MODULE_NAME[1]"),
        (HEAD.replace('[0]="mod"', '[0]="mod.ko"'), "BUILT_MODULE_NAME[0] ends in .o or .ko"),
        (HEAD.replace("/extra", "/etc"), "DEST_MODULE_LOCATION[0] does not begin with /kernel, /updates or /extra"),
        (HEAD + "BUILD_DEPENDS[0]=other", "BUILD_DEPENDS is not supported: other"),
    ],
)
def test_what_is_wrong_with_it(kernel: Path, conf: str, why: str) -> None:
    assert read(conf, kernel)["problem"] == why


def test_the_reason_of_an_exclusion(kernel: Path) -> None:
    plan = read(HEAD + CASES["min, later"], kernel)
    assert plan["excluded"] == f"BUILD_EXCLUSIVE_KERNEL_MIN is 6.2, and the kernel is {RELEASE}"


# `make` only tells how it was called; what DKMS would do then, it does not need to.
_ASK_DKMS = """
printf '#!/bin/sh\\nexit 1\\n' >/usr/local/bin/make; chmod +x /usr/local/bin/make
for conf in /cases/*.conf; do
    rm -rf /var/lib/dkms/mod /usr/src/mod-1.0; mkdir -p /usr/src/mod-1.0; touch /usr/src/mod-1.0/mod.c
    cp "$conf" /usr/src/mod-1.0/dkms.conf
    code=0; dkms build mod/1.0 -k "$RELEASE" -a x86_64 -j 1 --kernelsourcedir "$KERNEL" >/tmp/said 2>&1 || code=$?
    log=/var/lib/dkms/mod/1.0/build/make.log
    command=$(grep -A1 '^Building module' $log 2>/dev/null | sed -n 's/^# command: //p')
    printf '%s\\t%s\\t%s\\n' "$(basename "$conf" .conf)" "$code" "$command"
done
"""


@pytest.mark.docker
@pytest.mark.network
def test_dkms_itself_understands_the_same(kernel: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    for name, conf in CASES.items():
        (cases / f"{name}.conf").write_text(HEAD + conf + "\n")
    answer = docker.from_env().containers.run(
        toolchain_image("gcc-14", "trixie"),
        ["bash", "-c", _ASK_DKMS],
        environment={"RELEASE": RELEASE, "KERNEL": str(kernel)},
        volumes={str(cases): {"bind": "/cases", "mode": "ro"}, str(kernel): {"bind": str(kernel), "mode": "ro"}},
        network_mode="none",
        remove=True,
    )
    theirs = {}
    for line in answer.decode().splitlines():
        name, code, command = line.split("\t")
        theirs[name] = "excluded" if code == "77" else command
    ours = {}
    for name, conf in CASES.items():
        plan = read(HEAD + conf, kernel)
        ours[name] = "excluded" if plan["excluded"] else plan["make_command"] if not plan["problem"] else ""
    assert ours == theirs
