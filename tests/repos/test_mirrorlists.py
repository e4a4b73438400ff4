"""Lists as dnf.conf(5) and MirrorManager's source describe them, and what is none."""

import pytest
from kmodci.errors import IndexDamaged
from kmodci.repos.mirrorlists import Mirrors, parse_mirrors

NEW, OLD = "a" * 64, "b" * 64


def metalink(
    urls: str = '<url protocol="https" preference="100">https://one.example/f41/repodata/repomd.xml</url>',
    *,
    verification: str = f'<hash type="md5">{"0" * 32}</hash><hash type="sha256">{NEW}</hash>',
    name: str = "repomd.xml",
    head: str = "",
) -> bytes:
    """As MirrorManager writes one, with an older repomd.xml that mirrors may still have."""
    older = (
        "<mm0:alternates><mm0:alternate><size>7571</size>"
        f'<verification><hash type="sha256">{OLD}</hash></verification></mm0:alternate></mm0:alternates>'
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>{head}
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" pubdate="Mon, 23 Nov 2026 01:02:03 GMT"
  generator="mirrormanager" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="{name}">
   <mm0:timestamp>1795222000</mm0:timestamp>
   <size>7571</size>
   <verification>{verification}</verification>
   {older}
   <resources maxconnections="1">{urls}</resources>
  </file>
 </files>
</metalink>
""".encode()


def bases(content: bytes) -> tuple[str, ...]:
    return parse_mirrors(content, "x86_64").bases


class TestList:
    def test_amazons_has_one_line(self) -> None:
        line = b"http://amazonlinux.us-east-1.amazonaws.com/2/core/2.0/$basearch/3cea6107e9ff/\n"
        assert parse_mirrors(line, "aarch64") == Mirrors(
            bases=("http://amazonlinux.us-east-1.amazonaws.com/2/core/2.0/aarch64/3cea6107e9ff",)
        )

    def test_the_order_is_the_lists_and_what_is_not_of_http_is_left_out(self) -> None:
        content = (
            b"# repo = fedora-41 arch = x86_64 country = DE\r\n\r\n"
            b"rsync://one.example/fedora/f41\n"
            b"  https://two.example:8443/fedora/f41/  \n"
            b"ftp://three.example/fedora/f41/\n"
            b"http://one.example/fedora/f41\n"
            b"https://two.example:8443/fedora/f41\n"
        )
        assert bases(content) == ("https://two.example:8443/fedora/f41", "http://one.example/fedora/f41")

    @pytest.mark.parametrize(
        "line",
        [
            b"https://user:secret@one.example/f41",
            b"https://one.example/f41?arch=x86_64",
            b"https://one.example/f41/../../etc",
            b"https://one.example/..",
            b"https://one.example/$releasever/x86_64",
            b"https://one.example/f 41",
            b"https://one.example/f41#x86_64:x",
            b"https:///f41",
            b"https://-one.example/f41",
            b"file:///etc/passwd",
            b"one.example/f41",
            "https://\N{CYRILLIC SMALL LETTER O}ne.example/f41".encode(),
            b"https://one.example/\xff",
        ],
    )
    def test_what_is_no_base_url_is_not_taken(self, line: bytes) -> None:
        assert bases(line + b"\nhttps://two.example/f41\n") == ("https://two.example/f41",)
        with pytest.raises(IndexDamaged, match="no base URL"):
            bases(line)

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n", b"\0" * 1000, b"Not Found\n"])
    def test_an_empty_one_is_none(self, content: bytes) -> None:
        with pytest.raises(IndexDamaged, match="no base URL"):
            bases(content)

    @pytest.mark.parametrize(
        "content", [b"<html><body>https://one.example/f41\n<br></html>", b"<!DOCTYPE html>\nhttps://one.example/f41\n"]
    )
    def test_a_page_is_none(self, content: bytes) -> None:
        with pytest.raises(IndexDamaged, match="metalink"):
            bases(content)


class TestMetalink:
    def test_the_newest_repomd_and_its_mirrors_by_preference(self) -> None:
        urls = (
            '<url protocol="rsync" type="rsync" preference="100">rsync://one.example/f41/repodata/repomd.xml</url>'
            '<url protocol="http" preference="98">http://three.example/f41/repodata/repomd.xml</url>'
            '<url protocol="https" preference="100">https://one.example/f41/repodata/repomd.xml</url>'
            "<url>https://four.example/repodata/repomd.xml</url>"
            '<url protocol="https" preference="100"> https://two.example/f41/repodata/repomd.xml\n</url>'
            '<url preference="99999999999">https://five.example/repodata/repomd.xml</url>'
        )
        assert parse_mirrors(metalink(urls), "x86_64") == Mirrors(
            bases=(
                "https://one.example/f41",
                "https://two.example/f41",
                "http://three.example/f41",
                "https://four.example",
                "https://five.example",
            ),
            repomd_sha256=NEW,
        )

    def test_capital_digits_are_the_same_hash(self) -> None:
        content = metalink(verification=f'<hash type="sha256"> {NEW.upper()} </hash>')
        assert parse_mirrors(content, "x86_64").repomd_sha256 == NEW

    @pytest.mark.parametrize(
        "verification",
        [
            "",
            '<hash type="md5">00000000000000000000000000000000</hash>',
            '<hash type="sha256">zz</hash>',
            f'<hash type="sha1">{NEW}</hash>',
        ],
    )
    def test_without_a_hash_that_counts_it_is_refused_and_an_older_one_is_not_taken(self, verification: str) -> None:
        with pytest.raises(IndexDamaged, match="no SHA256"):
            bases(metalink(verification=verification))

    @pytest.mark.parametrize(
        "url",
        [
            "https://one.example/f41/repodata/other.xml",
            "https://one.example/f41/../repodata/repomd.xml",
            "https://user@one.example/repodata/repomd.xml",
            "repodata/repomd.xml",
            "",
        ],
    )
    def test_what_is_no_mirror_is_not_taken(self, url: str) -> None:
        with pytest.raises(IndexDamaged, match="no mirror"):
            bases(metalink(f"<url>{url}</url>"))

    def test_a_metalink_of_another_file_is_refused(self) -> None:
        with pytest.raises(IndexDamaged, match="no SHA256"):
            bases(metalink(name="Fedora-41.iso"))

    def test_an_xml_bomb_is_refused_before_it_expands(self) -> None:
        entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 100}">' for a, b in ("ab", "bc", "cd", "de", "ef", "fg"))
        head = f'<!DOCTYPE metalink [<!ENTITY a "x">{entities}]>'
        with pytest.raises(IndexDamaged, match="bomb"):
            bases(metalink("<url>https://one.example/&g;/repodata/repomd.xml</url>", head=head))

    def test_a_file_of_this_machine_is_not_read(self) -> None:
        head = '<!DOCTYPE metalink [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        with pytest.raises(IndexDamaged, match="bomb"):
            bases(metalink("<url>https://one.example/&a;/repodata/repomd.xml</url>", head=head))

    @pytest.mark.parametrize(
        "content", [metalink()[:-20], b"<metalink>", b"<a>" * 50_000, b"<metalink>\xff</metalink>"]
    )
    def test_what_is_cut_off_or_not_xml_is_refused(self, content: bytes) -> None:
        with pytest.raises(IndexDamaged, match="metalink"):
            bases(content)
