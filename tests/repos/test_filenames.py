import pytest
from kmodci.release import BadName
from kmodci.repos.filenames import listed_at


@pytest.mark.parametrize(
    ("file", "name", "version", "arch"),
    [
        ("linux-headers-6.1.0-18-amd64_6.1.76-1_amd64.deb", "linux-headers-6.1.0-18-amd64", "6.1.76-1", "amd64"),
        ("linux-kbuild-6.1_6.1.94-1~bpo11+1_arm64.deb", "linux-kbuild-6.1", "6.1.94-1~bpo11+1", "arm64"),
        ("linux-headers-6.8.0-31_6.8.0-31.31_all.deb", "linux-headers-6.8.0-31", "6.8.0-31.31", "all"),
        ("scap-dkms_1%3a0.23-6%2Bb1_all.deb", "scap-dkms", "1:0.23-6+b1", "all"),
        ("kernel-devel-5.14.0-427.el9.x86_64.rpm", "kernel-devel", "5.14.0-427.el9", "amd64"),
        ("kernel6.12-devel-6.12.58-82.amzn2023.aarch64.rpm", "kernel6.12-devel", "6.12.58-82.amzn2023", "arm64"),
        ("kernel-devel-6.4.0-150600.23.7.3.noarch.rpm", "kernel-devel", "6.4.0-150600.23.7.3", "all"),
        ("linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst", "linux-headers", "6.12.7.arch1-1", "amd64"),
        ("linux-lts-headers-6.6.68-1-x86_64.pkg.tar.xz", "linux-lts-headers", "6.6.68-1", "amd64"),
    ],
)
def test_what_a_file_name_says(file: str, name: str, version: str, arch: str) -> None:
    url = f"https://mirror.example.org/pool/{file}"
    found = listed_at(url)
    assert (found.name, found.version, found.arch, found.url) == (name, version, arch, url)
    assert (found.size, found.sha256, found.depends) == (0, "", ())


def test_a_path_that_climbs_is_what_a_client_would_ask_for() -> None:
    """As in Amazon's lists, where the folder with a hash is another after every update."""
    climbing = "http://amazon.example.org/2/core/2.0/x86_64/d9eabb73/../../../../../blobstore/./ae757f13/"
    file = "kernel-devel-4.9.75-1.56.amzn2.x86_64.rpm"
    assert listed_at(climbing + file).url == f"http://amazon.example.org/blobstore/ae757f13/{file}"
    assert listed_at(f"http://a.example.org/../../../{file}").url == f"http://a.example.org/{file}"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)//a_1_amd64.deb",
        "file:///etc/passwd",
        "file:///a_1_amd64.deb",
        "ftp://mirror.example.org/a_1_amd64.deb",
        "//mirror.example.org/a_1_amd64.deb",
        "http:///a_1_amd64.deb",
        "http://user:password@mirror.example.org/a_1_amd64.deb",
        "http://mirror.example.org/a_1_amd64.deb?x=y",
        "http://mirror.example.org/a_1_amd64.deb#x",
        "http://mirror.example.org/a b_1_amd64.deb",
        "http://mirror.example.org/a_1_amd64.deb\n",
        'http://mirror.example.org/"><script>_1_amd64.deb',
        "http://mirror.example.org/$(id)_1_amd64.deb",
        f"http://mirror.example.org/{'a/' * 1000}a_1_amd64.deb",
        "",
    ],
)
def test_what_is_not_to_be_fetched(url: str) -> None:
    with pytest.raises(BadName, match="not a URL to fetch a package from") as caught:
        listed_at(url)
    assert caught.value.brief.isprintable()
    assert len(caught.value.brief) < 200


@pytest.mark.parametrize(
    "file",
    [
        "..",
        "a_1_amd64.deb/..",
        "..%2f..%2fx_1_amd64.deb",
        "x%2fy_1_amd64.deb",
        "%2e%2e_1_amd64.deb",
        "a_..1_amd64.deb",
        "a_1%0a_amd64.deb",
        "a_1%24(id)_amd64.deb",
        "a_1_amd64.deb%00",
        "-rf_1_amd64.deb",
        "a_1.deb",
        "a.rpm",
        "flatcar_developer_container.bin.bz2",
        "",
    ],
)
def test_a_file_that_is_no_package(file: str) -> None:
    with pytest.raises(BadName, match=r"not the file name of a package|not a package version") as caught:
        listed_at(f"http://mirror.example.org/pool/{file}")
    assert caught.value.brief.isprintable()
