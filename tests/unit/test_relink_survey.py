from __future__ import annotations

from collections.abc import Mapping

import pytest

from builder.binary import Binary, VersionNeed
from builder.config.recipe import Sibling
from builder.errors import BuilderError, UsageError
from builder.relink.closure import MissingLibrariesError
from builder.relink.host import Host
from builder.relink.policy import Blocker
from builder.relink.scan import Members, arch_of
from builder.relink.survey import Graft, Survey, refuse_if_too_new, survey, verdict

HERE = Host((), ())
TORCH = Sibling("torch", ("libtorch*",), "torch/lib", "torch==2.13.0")
OTHER = Sibling("other", ("libother*",), "other")


def binary(*needed: str, glibc: str = "2.2.5", symbols: int = 1) -> Binary:
    names = tuple(f"f{number:02}" for number in range(symbols))
    return Binary(
        format="elf", machine="x86_64", bits=64, byte_order="little", kind="shared",
        needed=needed, versions_needed=(VersionNeed("libc.so.6", f"GLIBC_{glibc}", names),),
    )  # fmt: skip


def looked_at(own: Mapping[str, Binary], arch: str = "x86_64") -> Survey:
    return survey("w.whl", Members(arch, own), ("libcuda*",), (TORCH, OTHER), HERE)


@pytest.mark.parametrize(
    ("platforms", "arch"),
    [
        (("linux_x86_64",), "x86_64"),
        (("manylinux1_i686", "manylinux_2_5_i686"), "i686"),
        (("musllinux_1_2_aarch64",), "aarch64"),
        (("any",), ""),
        (("win_amd64",), ""),
        (("macosx_11_0_arm64",), ""),
        (("linux_x86_64", "linux_aarch64"), ""),
    ],
)
def test_the_architecture_is_read_from_the_tags(platforms: tuple[str, ...], arch: str) -> None:
    assert arch_of(platforms) == arch


def test_only_siblings_in_use_are_required() -> None:
    found = looked_at({"p/x.so": binary("libtorch.so", "libcuda.so.1", "libc.so.6")})

    assert found.requires == ("torch==2.13.0",)
    assert found.outside == ("libcuda*", "libtorch*", "libother*")


def test_a_missing_library_ends_the_survey() -> None:
    with pytest.raises(MissingLibrariesError) as caught:
        looked_at({"p/x.so": binary("libgone.so")})
    assert caught.value.faults == ("libgone.so: required by p/x.so", "searched: nowhere")


@pytest.mark.parametrize(
    "baseline", ["auto", "manylinux_2_28", "manylinux_2_28_x86_64", "manylinux_2_34"]
)
def test_a_wheel_within_its_baseline_passes(baseline: str) -> None:
    refuse_if_too_new("w.whl", looked_at({"p/x.so": binary(glibc="2.28")}), baseline)


@pytest.mark.parametrize("baseline", ["manylinux_2_17", "manylinux2014", "manylinux2014_x86_64"])
def test_a_wheel_beyond_its_baseline_is_refused_with_the_symbols_to_blame(baseline: str) -> None:
    found = looked_at({"p/x.so": binary(glibc="2.28", symbols=20)})

    with pytest.raises(BuilderError) as caught:
        refuse_if_too_new("w.whl", found, baseline)

    error = caught.value
    assert error.message == (
        "`w.whl` cannot be manylinux_2_17_x86_64: it deserves manylinux_2_28_x86_64"
    )
    assert error.faults[0] == "p/x.so: f00@GLIBC_2.28 of libc.so.6"
    assert error.faults[15:] == ("and 5 more",)
    assert "manylinux image" in error.hint


def test_a_wheel_beyond_every_policy_is_refused_even_without_a_baseline() -> None:
    with pytest.raises(BuilderError, match="deserves no manylinux tag at all"):
        refuse_if_too_new("w.whl", looked_at({"p/x.so": binary(glibc="2.99")}), "auto")


def test_an_unknown_baseline_is_a_mistake_of_the_user() -> None:
    with pytest.raises(UsageError, match="`manylinux_9` is no platform tag") as caught:
        refuse_if_too_new("w.whl", looked_at({"p/x.so": binary()}), "manylinux_9")
    assert "manylinux_2_28_x86_64" in caught.value.hint


@pytest.mark.parametrize(
    ("own", "arch"),
    [
        pytest.param({"p/x.so": binary("libc.musl-x86_64.so.1")}, "x86_64", id="musl"),
        pytest.param({"p/x.so": binary()}, "vax", id="no policy for it"),
    ],
)
def test_where_no_policy_speaks_the_engine_does(own: dict[str, Binary], arch: str) -> None:
    refuse_if_too_new("w.whl", looked_at(own, arch), "manylinux_2_17")

    judged = verdict(Members(arch, own), (), ("musllinux_1_2_x86_64",))

    assert (judged.tag, judged.blockers) == ("musllinux_1_2_x86_64", ())


@pytest.mark.parametrize(
    ("engine", "platforms"),
    [
        pytest.param(("manylinux_2_28_x86_64",), ("manylinux_2_28_x86_64",), id="agrees"),
        pytest.param(("manylinux_2_34_x86_64",), ("manylinux_2_34_x86_64",), id="promises less"),
        pytest.param(
            ("manylinux2014_x86_64", "manylinux_2_17_x86_64"), ("manylinux_2_28_x86_64",),
            id="promises too much",
        ),
        pytest.param(("linux_x86_64",), ("manylinux_2_28_x86_64",), id="says nothing"),
    ],
)  # fmt: skip
def test_the_tag_is_the_one_that_promises_less(
    engine: tuple[str, ...], platforms: tuple[str, ...]
) -> None:
    judged = verdict(Members("x86_64", {"p/x.so": binary(glibc="2.28")}), (), engine)

    assert judged.platforms == platforms


def test_a_verdict_tells_what_keeps_the_wheel_from_the_next_older_tag() -> None:
    judged = verdict(Members("x86_64", {"p/x.so": binary(glibc="2.28")}), (), ())

    assert judged.blockers == (
        Blocker("manylinux_2_27_x86_64", "p/x.so", "f00@GLIBC_2.28", "libc.so.6"),
    )


def test_legacy_aliases_are_carried_along() -> None:
    judged = verdict(Members("x86_64", {"p/x.so": binary(glibc="2.17")}), (), ())

    assert judged.tag == "manylinux_2_17_x86_64"
    assert judged.platforms == ("manylinux2014_x86_64", "manylinux_2_17_x86_64")


def test_files_that_were_not_judged_are_noted() -> None:
    members = Members("x86_64", {}, ("gpu.o",), ("bad.so",))

    assert members.notes == (
        "gpu.o: is for another machine and was not looked at",
        "bad.so: is no sound ELF file and was not looked at",
    )


def test_a_graft_as_json() -> None:
    assert Graft("liba.so.1", "/lib/liba.so.1", "p.libs/liba-1.so.1", "ab").to_json() == {
        "name": "liba.so.1", "from": "/lib/liba.so.1", "as": "p.libs/liba-1.so.1", "sha256": "ab",
    }  # fmt: skip
