from __future__ import annotations

import xml.etree.ElementTree as ET

from smoke.junit import to_junit
from smoke.report import Report, Result

REPORT = Report(
    "a<b>.whl",
    (
        Result("wheel.name", "pass", seconds=0.25),
        Result("link.search", "fail", problems=('a.so: "x"', "b.so & \x00"), remedy="repair it"),
        Result("link.needed", "warn", problems=("c.so",)),
        Result("env.import", "skip", reason="no environment"),
        Result("env.loaded", "crash", reason="KeyError: 'a'"),
    ),
)


def test_every_status_has_its_element() -> None:
    root = ET.fromstring(to_junit([REPORT, REPORT]))  # noqa: S314  # our own text

    suite = root[0]
    assert len(root) == 2
    assert suite.attrib == {
        "name": "a<b>.whl", "tests": "5", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    assert [[inner.tag for inner in case] for case in suite] == [
        [], ["failure"], ["properties"], ["skipped"], ["error"],
    ]  # fmt: skip
    assert suite[0].attrib == {"classname": "wheel", "name": "name", "time": "0.250"}
    assert suite[1][0].attrib["message"] == 'a.so: "x"\nb.so & ?'
    assert suite[1][0].attrib["type"] == "repair it"
    assert suite[3][0].attrib["message"] == "no environment"
