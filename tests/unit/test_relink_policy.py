from __future__ import annotations

import pytest
from auditwheel.architecture import Architecture
from auditwheel.libc import Libc
from auditwheel.policy import WheelPolicies

from builder.binary import Binary, VersionNeed
from builder.relink.policy import Blocker, blockers, is_loader, lowest, policies, whitelist


def binary(
    needed: tuple[str, ...] = (),
    versions: tuple[tuple[str, str, tuple[str, ...]], ...] = (),
    undefined: tuple[str, ...] = (),
    soname: str = "",
) -> Binary:
    return Binary(
        format="elf", machine="x86_64", bits=64, byte_order="little", kind="shared",
        soname=soname, needed=needed, undefined=undefined,
        versions_needed=tuple(VersionNeed(*row) for row in versions),
    )  # fmt: skip


KNOWN = {policy.name: policy for policy in policies("x86_64")}
ZLIB = binary(needed=("libz.so.1",), undefined=("inflate_fast", "inflate"))
LIBC_234 = binary(
    needed=("libc.so.6",),
    versions=(
        ("libc.so.6", "GLIBC_2.34", ("__libc_start_main", "pthread_create")),
        ("libc.so.6", "GLIBC_2.2.5", ("puts",)),
    ),
)


@pytest.mark.parametrize("arch", ["x86_64", "i686", "aarch64", "ppc64le", "s390x", "riscv64"])
def test_the_tables_say_what_auditwheel_reads_in_them(arch: str) -> None:
    theirs = WheelPolicies(libc=Libc.GLIBC, arch=Architecture(arch))

    assert [
        (row.name, row.aliases, row.priority, row.libraries, row.symbol_versions, row.blacklist)
        for row in policies(arch)
    ] == [
        (row.name, row.aliases, row.priority, row.whitelist, row.symbol_versions, row.blacklist)
        for row in sorted(theirs, key=lambda row: -row.priority)
        if row.priority
    ]


def test_policies_are_sorted_from_old_to_new() -> None:
    names = list(KNOWN)

    assert names[0] == "manylinux_2_5_x86_64"
    assert names.index("manylinux_2_17_x86_64") < names.index("manylinux_2_28_x86_64")


def test_tags_carry_the_legacy_alias() -> None:
    assert KNOWN["manylinux_2_17_x86_64"].tags == ("manylinux2014_x86_64", "manylinux_2_17_x86_64")


def test_an_unknown_architecture_has_no_policies() -> None:
    assert policies("vax") == ()


def test_musl_policies_name_the_libc_of_the_architecture() -> None:
    first = policies("x86_64", "musl")[0]

    assert (first.name, "libc.musl-x86_64.so.1" in first.libraries) == (
        "musllinux_1_1_x86_64",
        True,
    )


def test_the_whitelist_is_that_of_the_newest_policy() -> None:
    assert whitelist(KNOWN.values()) == list(KNOWN.values())[-1].libraries


@pytest.mark.parametrize(
    ("members", "name"),
    [
        pytest.param({"a.so": binary()}, "manylinux_2_5_x86_64", id="nothing"),
        pytest.param({"a.so": LIBC_234}, "manylinux_2_34_x86_64", id="glibc 2.34"),
        pytest.param(
            {"a.so": binary(versions=(("libstdc++.so.6", "GLIBCXX_3.4.22", ("x",)),))},
            "manylinux_2_24_x86_64",
            id="libstdc++",
        ),
        pytest.param(
            {"a.so": binary(needed=("libmvec.so.1",))}, "manylinux_2_24_x86_64", id="mvec"
        ),
        pytest.param(
            {"a.so": binary(versions=(("libfoo.so", "FOO_9", ("x",)),))},
            "manylinux_2_5_x86_64",
            id="versions of a family no policy limits",
        ),
        pytest.param(
            {"a.so": binary(needed=("ld-linux-x86-64.so.2",))}, "manylinux_2_5_x86_64", id="loader"
        ),
        pytest.param(
            {
                "p/a.so": binary(needed=("libb.so.1", "c.so")),
                "p/b": binary(soname="libb.so.1"),
                "q/c.so": binary(),
            },
            "manylinux_2_5_x86_64",
            id="own libraries",
        ),
        pytest.param({"a.so": binary(needed=("libpq.so.5",))}, None, id="foreign library"),
        pytest.param(
            {"a.so": binary(versions=(("libc.so.6", "GLIBC_2.99", ()),))}, None, id="too new"
        ),
        pytest.param({"a.so": ZLIB}, None, id="forbidden symbol"),
    ],
)
def test_the_lowest_policy_a_wheel_deserves(members: dict[str, Binary], name: str | None) -> None:
    found = lowest(members, KNOWN.values())

    assert (found.name if found else None) == name


def test_libraries_outside_need_no_promise() -> None:
    members = {"a.so": binary(needed=("libtorch_cpu.so", "libcuda.so.1"))}

    found = lowest(members, KNOWN.values(), ("libtorch*", "libcuda.so.*"))

    assert found == KNOWN["manylinux_2_5_x86_64"]


def test_every_symbol_that_is_too_new_is_named() -> None:
    found = blockers({"p/a.so": LIBC_234}, KNOWN["manylinux_2_28_x86_64"])

    assert [str(row) for row in found] == [
        "p/a.so: __libc_start_main@GLIBC_2.34 of libc.so.6",
        "p/a.so: pthread_create@GLIBC_2.34 of libc.so.6",
    ]


@pytest.mark.parametrize(
    ("one", "blocker"),
    [
        (ZLIB, ("inflate_fast", "libz.so.1")),
        (binary(needed=("libpq.so.5",)), ("", "libpq.so.5")),
        (binary(versions=(("libc.so.6", "GLIBC_2.99", ()),)), ("GLIBC_2.99", "libc.so.6")),
    ],
)
def test_a_blocker_says_what_and_whose(one: Binary, blocker: tuple[str, str]) -> None:
    policy = KNOWN["manylinux_2_28_x86_64"]

    assert blockers({"a.so": one}, policy) == (Blocker(policy.name, "a.so", *blocker),)


def test_a_blocker_as_json() -> None:
    assert Blocker("t", "b", "s", "l").to_json() == {
        "tag": "t", "binary": "b", "symbol": "s", "library": "l",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("soname", "is_one"),
    [
        ("ld-linux-x86-64.so.2", True),
        ("ld-linux.so.2", True),
        ("ld-linux-aarch64.so.1", True),
        ("ld64.so.2", True),
        ("ld-musl-x86_64.so.1", True),
        ("libld-linux.so.2.1.0a", False),
        ("libc.so.6", False),
    ],
)
def test_the_loader_is_known_by_name(soname: str, is_one: bool) -> None:
    assert is_loader(soname) is is_one
