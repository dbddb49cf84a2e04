from __future__ import annotations

from pathlib import Path

from builder.archive.file import file_digest
from builder.relink.host import Host, configured_folders

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_ld_so_conf_is_read_with_its_includes_and_the_defaults_last(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    (etc / "ld.so.conf.d").mkdir(parents=True)
    (etc / "ld.so.conf").write_text(
        "# comment\n/first # why\ninclude ld.so.conf.d/*.conf\nhwcap 0 nosegneg\n/last\n"
    )
    (etc / "ld.so.conf.d/b.conf").write_text("/b\n")
    (etc / "ld.so.conf.d/a.conf").write_text("/a\n/first\ninclude /etc/other.conf\n")
    (etc / "other.conf").write_text("/other\n")

    folders = [f"/{path.relative_to(tmp_path)}" for path in configured_folders(tmp_path)]

    assert folders == [
        "/first", "/a", "/other", "/b", "/last", "/lib", "/lib64", "/usr/lib", "/usr/lib64",
    ]  # fmt: skip


def test_an_endless_include_ends(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.conf").write_text("/x\ninclude ld.so.conf\n")

    assert configured_folders(tmp_path)[0] == tmp_path / "x"


def test_a_machine_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    assert len(configured_folders(tmp_path)) == 4


def test_what_is_no_binary_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "libc.so").write_text("GROUP ( /lib/libc.so.6 )")
    host = Host((tmp_path,), ())

    assert host.look(str(tmp_path / "libc.so")) is None
    assert host.look(str(tmp_path / "absent.so")) is None
    assert host.look(str(tmp_path)) is None


def test_digests_are_sha256_in_hex(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")

    assert file_digest(tmp_path / "f") == ABC
