from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from builder.archive.tally import Tally


def test_work_adds_up_by_kind() -> None:
    tally = Tally()

    tally.add(inflated=5, hashed=2)
    tally.add(inflated=1, deflated=3, copied=4, processes=1)

    assert tally.to_json() == {
        "inflated": 6, "deflated": 3, "copied": 4, "hashed": 2, "processes": 1,
    }  # fmt: skip


def test_tallies_are_equal_by_value() -> None:
    one, other = Tally(), Tally(inflated=3)

    assert one != other
    one.add(inflated=3)
    assert one == other
    assert repr(one) == "Tally(inflated=3, deflated=0, copied=0, hashed=0, processes=0)"


def test_no_work_of_any_thread_is_lost() -> None:
    tally = Tally()

    def work() -> None:
        for _ in range(500):
            tally.add(deflated=1, copied=2)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(work)

    assert (tally.deflated, tally.copied) == (4000, 8000)
