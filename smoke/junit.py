"""Reports as JUnit XML, the form that CI systems show as test results."""

from __future__ import annotations

from collections.abc import Sequence

from smoke.report import Report, Result

__all__ = ["to_junit"]


def to_junit(reports: Sequence[Report]) -> str:
    """One suite for each subject, one case for each check; warnings pass and say so."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<testsuites>"]
    for report in reports:
        counts = report.summary
        lines.append(
            f"<testsuite name={_attribute(report.subject)} tests={_attribute(len(report.results))} "
            f"failures={_attribute(counts['fail'])} errors={_attribute(counts['crash'])} "
            f"skipped={_attribute(counts['skip'])}>"
        )
        lines += _properties(report)
        lines += [_case(result) for result in report.results]
        lines.append("</testsuite>")
    return "\n".join((*lines, "</testsuites>", ""))


def _properties(report: Report) -> list[str]:
    if not report.facts:
        return []
    rows = [
        f"<property name={_attribute(name)} value={_attribute(value)}/>"
        for name, value in report.facts.items()
    ]
    return ["<properties>", *rows, "</properties>"]


def _case(result: Result) -> str:
    family, _, name = result.id.partition(".")
    head = (
        f"<testcase classname={_attribute(family)} name={_attribute(name)} "
        f"time={_attribute(f'{result.seconds:.3f}')}>"
    )
    return f"{head}{_inside(result)}</testcase>"


def _inside(result: Result) -> str:
    text = _attribute("\n".join(result.problems) or result.reason)
    match result.status:
        case "fail":
            return f"<failure message={text} type={_attribute(result.remedy)}/>"
        case "crash":
            return f"<error message={text}/>"
        case "skip":
            return f"<skipped message={text}/>"
        case "warn":
            return f"<properties><property name='warning' value={text}/></properties>"
        case "pass":
            return ""


def _attribute(value: object) -> str:
    """A quoted attribute; characters that XML cannot hold become question marks."""
    from xml.sax.saxutils import quoteattr  # noqa: PLC0415  # loads half of the network library

    text = "".join(one if one.isprintable() or one == "\n" else "?" for one in str(value))
    return quoteattr(text)
