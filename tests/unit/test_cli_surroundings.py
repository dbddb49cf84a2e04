from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.cli.surroundings import read_index, recipe_roots, this_machine, this_platform
from builder.config.machine import PackageIndex

INI = """
[global]
find-links = /wheels
    /more wheels.d
extra-index-url = https://one.invalid/simple https://two.invalid/simple

[install]
index-url = https://three.invalid/simple
"""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, PackageIndex(), id="nothing said"),
        pytest.param(
            {"PIP_INDEX_URL": "https://a.invalid/simple"},
            PackageIndex("https://a.invalid/simple"),
            id="pip's variable",
        ),
        pytest.param(
            {"PIP_INDEX_URL": "https://a.invalid", "UV_INDEX_URL": "https://b.invalid"},
            PackageIndex("https://b.invalid"),
            id="uv's variable wins",
        ),
        pytest.param(
            {
                "UV_FIND_LINKS": "/a,/b",
                "PIP_EXTRA_INDEX_URL": "https://x.invalid https://y.invalid",
            },
            PackageIndex("", ("https://x.invalid", "https://y.invalid"), ("/a", "/b")),
            id="lists with commas or blanks",
        ),
    ],
)
def test_the_index_is_what_the_variables_say(
    environ: dict[str, str], expected: PackageIndex
) -> None:
    assert read_index(environ, ()) == expected


def test_the_index_is_what_pips_files_say_and_variables_win(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(INI)

    index = read_index({"PIP_FIND_LINKS": "/mine"}, [file])

    assert index.index_url == "https://three.invalid/simple"
    assert index.extra_index_urls == ("https://one.invalid/simple", "https://two.invalid/simple")
    assert index.find_links == ("/mine",)
    assert read_index({}, [file]).find_links == ("/wheels", "/more", "wheels.d")


@pytest.mark.parametrize("content", [b"no section", b"\xff\xfe", b"[global]\nindex-url"])
def test_a_file_that_pip_would_refuse_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pip.conf").write_bytes(content)

    assert read_index({}, [tmp_path / "pip.conf"]) == PackageIndex()


def test_a_machine_has_no_shims_on_its_path_and_only_network_variables(tmp_path: Path) -> None:
    for name in ("bin", "pyenv/shims", "ccache"):
        (tmp_path / name).mkdir(parents=True)
    path = os.pathsep.join(
        str(tmp_path / name) for name in ("pyenv/shims", "ccache", "bin", "gone", "bin")
    )

    machine = this_machine(
        {
            "PATH": f"{path}{os.pathsep}relative",
            "HOME": str(tmp_path),
            "SSL_CERT_FILE": "/certs.pem",
            "LD_LIBRARY_PATH": "/evil",
            "PYTHONPATH": "/evil",
        }
    )

    assert machine.path == (tmp_path / "bin",)
    assert machine.network == {"SSL_CERT_FILE": "/certs.pem"}
    assert machine.cache == tmp_path / ".cache" / "builder"
    assert machine.cores >= 1


@pytest.mark.parametrize(
    ("environ", "cache"),
    [
        ({"BUILDER_CACHE": "/mine"}, "/mine"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/builder"),
        ({"BUILDER_CACHE": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine"),
    ],
)
def test_the_cache_folder_can_be_chosen(environ: dict[str, str], cache: str) -> None:
    assert this_machine({**environ, "PATH": "", "HOME": "/home/me"}).cache == Path(cache)


def test_recipes_are_looked_for_here_first(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()

    roots = recipe_roots(tmp_path)

    assert roots[0] == tmp_path / "recipes"
    assert any((root / "sample" / "recipe.toml").is_file() for root in roots[1:])


def test_this_platform_is_spelled_as_targets_are() -> None:
    system, arch = this_platform()

    assert system in {"linux", "macos", "windows"}
    assert arch == arch.lower()
