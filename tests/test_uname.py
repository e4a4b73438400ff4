"""What people paste, in the words of the distributions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.release import BadName
from kmodci.uname import Uname, parse


@pytest.mark.parametrize(
    ("text", "release", "arch", "upload"),
    [
        (
            "Linux node1 6.1.0-28-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22) x86_64 GNU/Linux",
            "6.1.0-28-amd64",
            "amd64",
            "1",
        ),
        (
            "Linux pi 6.12.43+deb13-arm64-16k #1 SMP Debian 6.12.43-1 (2025-08-27) aarch64 GNU/Linux",
            "6.12.43+deb13-arm64-16k",
            "arm64",
            "1",
        ),
        (
            (
                "Linux noble 6.8.0-49-generic #49-Ubuntu SMP PREEMPT_DYNAMIC Mon Nov  4 02:06:24 UTC 2024"
                " x86_64 x86_64 x86_64 GNU/Linux"
            ),
            "6.8.0-49-generic",
            "amd64",
            "49-Ubuntu",
        ),
        (
            (
                "Linux jammy 6.8.0-49-generic #49~22.04.1-Ubuntu SMP PREEMPT_DYNAMIC Wed Nov  6 17:42:15 UTC 2"
                " x86_64 x86_64 x86_64 GNU/Linux"
            ),
            "6.8.0-49-generic",
            "amd64",
            "49~22.04.1-Ubuntu",
        ),
        (
            "Linux fedora 6.11.10-300.fc41.x86_64 #1 SMP PREEMPT_DYNAMIC Sat Nov 23 00:51:20 UTC 2024 x86_64 GNU/Linux",
            "6.11.10-300.fc41.x86_64",
            "amd64",
            "1",
        ),
        (
            (
                "Linux el9 5.14.0-503.15.1.el9_5.x86_64 #1 SMP PREEMPT_DYNAMIC Thu Nov 14 15:45:31 EST 2024"
                " x86_64 x86_64 x86_64 GNU/Linux"
            ),
            "5.14.0-503.15.1.el9_5.x86_64",
            "amd64",
            "1",
        ),
        (
            "Linux archlinux 6.12.1-arch1-1 #1 SMP PREEMPT_DYNAMIC Fri, 22 Nov 2024 16:04:27 +0000 x86_64 GNU/Linux",
            "6.12.1-arch1-1",
            "amd64",
            "1",
        ),
        (
            (
                "Linux leap 6.4.0-150600.23.25-default #1 SMP PREEMPT_DYNAMIC Tue Oct  1 10:54:01 UTC 2024 (ea7c56d)"
                " x86_64 x86_64 x86_64 GNU/Linux"
            ),
            "6.4.0-150600.23.25-default",
            "amd64",
            "1",
        ),
        (
            (
                "Linux ip-10-0-0-12.ec2.internal 6.1.115-126.197.amzn2023.aarch64 #1 SMP Tue Nov  5 17:37:05 UTC 2024"
                " aarch64 aarch64 aarch64 GNU/Linux"
            ),
            "6.1.115-126.197.amzn2023.aarch64",
            "arm64",
            "1",
        ),
        (
            "Linux ol9 5.15.0-302.167.6.el9uek.x86_64 #2 SMP Thu Oct 31 11:26:17 PDT 2024 x86_64 GNU/Linux",
            "5.15.0-302.167.6.el9uek.x86_64",
            "amd64",
            "2",
        ),
        ("Linux photon 6.1.115-2.ph5 #1-photon SMP Wed Nov 6 x86_64 GNU/Linux", "6.1.115-2.ph5", "amd64", "1-photon"),
        (
            (
                "Linux core-01 6.6.60-flatcar #1 SMP PREEMPT_DYNAMIC Fri Nov  8 22:33:14 -00 2024 x86_64 Intel(R)"
                " Xeon(R) CPU @ 2.20GHz GenuineIntel GNU/Linux"
            ),
            "6.6.60-flatcar",
            "amd64",
            "1",
        ),
        # a node that is called like a release
        ("Linux 10.0.0.12 6.1.0-28-amd64 #1 SMP Debian 6.1.119-1 x86_64 GNU/Linux", "6.1.0-28-amd64", "amd64", "1"),
        # uname -r, -rm, -sr, -srm, -srv, -nr
        ("6.1.0-28-amd64", "6.1.0-28-amd64", "", ""),
        ("  6.1.0-28-amd64\n", "6.1.0-28-amd64", "", ""),
        ("6.1.0-28-amd64 x86_64", "6.1.0-28-amd64", "amd64", ""),
        ("Linux 6.1.0-28-amd64", "6.1.0-28-amd64", "", ""),
        ("Linux 6.1.0-28-amd64 x86_64", "6.1.0-28-amd64", "amd64", ""),
        ("Linux 6.1.0-28-amd64 #1 SMP Debian 6.1.119-1 (2024-11-22)", "6.1.0-28-amd64", "", "1"),
        ("10.0.0.12 6.1.0-28-amd64", "6.1.0-28-amd64", "", ""),
        # with the prompt
        ("me@node:~$ uname -r\n6.1.0-28-amd64", "6.1.0-28-amd64", "", ""),
        ("# uname -r\n6.1.0-28-amd64", "6.1.0-28-amd64", "", ""),
    ],
)
def test_what_uname_prints_is_read(text: str, release: str, arch: str, upload: str) -> None:
    assert parse(text) == Uname(release=release, arch=arch, upload=upload)


@pytest.mark.parametrize(
    "text", ["", "  ", "Linux", "#1 SMP", "<script>", "6.1/../..", "7" * 10_000, "6.1.0-28-amd64 " * 100]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse(text)


@given(st.text(max_size=1200))
def test_whatever_is_pasted_is_a_release_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except BadName:
        return
    assert found.release[0].isascii() and found.release[0].isdigit()
    assert not {*found.release} & {*"/<>\"' %"} and ".." not in found.release
