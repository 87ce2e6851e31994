"""The ready patterns: each one's right values, what is a near miss instead, and that every example is checked."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ConfigError
from agentkit.tools import RegexExtractor, patterns
from agentkit.tools.regex.checks import isbn

READY = ("uuid", "urn", "email", "url", "ip", "iban", "card", "isbn", "date_iso", "date", "amount", "phone")
ALL = {name: RegexExtractor(patterns.pick(name)) for name in READY}


def found(name: str, text: str) -> list[str]:
    return ALL[name].values(text).get(name, [])


def test_these_are_ready_and_each_brings_examples_of_both_kinds() -> None:
    assert patterns.names() == READY
    for name in READY:
        (pattern,) = patterns.pick(name)
        assert (pattern.name, bool(pattern.description)) == (name, True)
        assert len(pattern.examples) >= 2
        assert len(pattern.non_examples) >= 2


@pytest.mark.parametrize("name", READY)
def test_an_example_that_no_longer_holds_is_an_error(name: str) -> None:
    (pattern,) = patterns.pick(name)
    with pytest.raises(ConfigError, match=f"pattern '{name}', field 'non_examples'"):
        RegexExtractor(patterns.pick(name, **{name: {"non_examples": pattern.examples}}))


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("uuid", "{7410E652-639D-402E-984E-8FD7025F0AAC}", ["7410e652-639d-402e-984e-8fd7025f0aac"]),
        ("urn", "URN:UUID:7410E652-639D-402E-984E-8FD7025F0AAC", ["urn:7410e652-639d-402e-984e-8fd7025f0aac"]),
        ("email", "a@example.com, <b.c+d@x-y.example.co.uk>; mailto:e_f@example.org.", 3),
        ("email", "a@b..com a..b@example.com .@example.com a@-x.com ü@example.com @example.com a@example", []),
        ("email", "first.last@example.com.au-more", []),
        ("url", "https://example.com.", ["https://example.com"]),
        ("url", "(see http://a.example/b_(c)?d=e&f#g)", ["http://a.example/b_(c)?d=e&f#g"]),
        ("url", "[x](https://example.com/y), “ftp://example.org”", ["https://example.com/y", "ftp://example.org"]),
        ("url", "https://user:pw@host.example:8443/p", ["https://user:pw@host.example:8443/p"]),
        ("url", "http://[::1]:80/ http://x http://a..b javascript:alert(1)", ["http://[::1]:80/"]),
        ("ip", "10.0.0.1:80, 192.168.1.0/24; (8.8.8.8).", ["10.0.0.1", "192.168.1.0/24", "8.8.8.8"]),
        (
            "ip",
            "FE80::1 2001:db8:0:0:0:0:2:1 ::ffff:1.2.3.4 ::1",
            ["fe80::1", "2001:db8::2:1", "::ffff:1.2.3.4", "::1"],
        ),
        ("ip", "1.2.3 1.2.3.4.5 999.1.1.1 01.2.3.4 10.0.0.0/64 12:30:59 std::add 1:2:3:4:5:6:7:8:9 v1.2.3.4", []),
        (
            "iban",
            "DE89 3704 0044 0532 0130 00, gb82west12345698765432",
            ["DE89370400440532013000", "GB82WEST12345698765432"],
        ),
        ("iban", "BE68 5390 0754 7034 USD 100 NO93 8601 1117 947 and", ["BE68539007547034", "NO9386011117947"]),
        ("iban", "DE88370400440532013000 DE8937040044053201300 XDE89370400440532013000 DE893704004405320130000", []),
        (
            "card",
            "4111-1111-1111-1111 378282246310005 3056 930902 5904",
            ["4111111111111111", "378282246310005", "30569309025904"],
        ),
        ("card", "4111111111111112 4111 1111 1111 111 x4111111111111111 1111111111111111", []),
        ("isbn", "ISBN-13: 978-3-16-148410-0, 0-306-40615-2 080442957x", ["9783161484100", "0306406152", "080442957X"]),
        ("isbn", "978-3-16-148410-1 0306406153 9773161484100 1-978-3-16-148410-0", []),
        ("date_iso", "2024-02-29 2024-12-31T10:00:00Z (1999-01-01)", ["2024-02-29", "2024-12-31", "1999-01-01"]),
        ("date_iso", "2023-02-29 2024-13-01 2024-1-1 x2024-01-01 2024-01-01x 1-2024-01-01 2024-01-01T10:00x", []),
        ("date", "24.12.2024, 13/04/2024 04/13/2024 4/4/2024", ["2024-12-24", "2024-04-13", "2024-04-04"]),
        (
            "date",
            "3 May 2024; May 4th, 2024. SEPT. 5, 2024 6 december 2024",
            ["2024-05-03", "2024-05-04", "2024-09-05", "2024-12-06"],
        ),
        ("date", "03/04/2024 31 April 2024 31.11.2024 1.24.12.2024 24.12.2024.1 5 Maya 2024 24.12.20245", []),
        ("amount", "€1,234.56 1.234,56 € EUR 1'234.56 1 234,56 EUR", ["EUR 1234.56"]),
        ("amount", "$5 US$5 A$5 5$ £5 ¥500 CHF 5", ["$ 5", "USD 5", "AUD 5", "GBP 5", "¥ 500", "CHF 5"]),
        ("amount", "-5 € \u22125.5 € +7 € €-8 $ -9", ["EUR -5", "EUR -5.5", "EUR 7", "EUR -8", "$ -9"]),
        ("amount", "1,000 EUR 1.000.000 EUR 0,5 EUR 12.5 EUR", ["EUR 1000", "EUR 1000000", "EUR 0.5", "EUR 12.5"]),
        (
            "amount",
            "$5-10 5\u201310 € $5 million €5bn $5k 1,23,4 € $1.5.2 $0.125 EUR 5 200 pieces XY$5 5 euros x5 EUR",
            [],
        ),
        ("amount", "1,234,5 € 12,345.67.8 EUR 5 EURO €5x", []),
        ("phone", "+49 30 901820; 0044 20 7946 0000? (+1-212-736-5000)", ["+4930901820", "+12127365000"]),
        ("phone", "+1 555 0100 +49 30 901820 901820 901820 2024-12-31 030 901820 +0 123 456 789", []),
    ],
)  # fmt: skip
def test_values(name: str, text: str, values: list[str] | int) -> None:
    if isinstance(values, int):
        assert len(found(name, text)) == values
    else:
        assert found(name, text) == values
    for match in ALL[name].extract(text):
        assert match.raw == text[match.start : match.end]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("email", "a..b@example.com"),
        ("url", "https://example.com次"),
        ("ip", "1.2.3.4.5"),
        ("iban", "DE88370400440532013000"),
        ("card", "4111111111111112"),
        ("isbn", "978-3-16-148410-1"),
        ("date_iso", "2023-02-29"),
        ("date", "03/04/2024"),
        ("amount", "$5 million"),
        ("phone", "+1 555 0100"),
    ],
)
def test_what_is_doubtful_is_told_as_one_near_miss(name: str, text: str) -> None:
    assert found(name, f"see {text}, ok") == []
    (miss,) = ALL[name].near_misses(f"see {text}, ok")
    assert text.startswith(miss.raw)


def test_dates_whose_order_is_known() -> None:
    for day_first, value in ((True, "2024-04-03"), (False, "2024-03-04")):
        extractor = RegexExtractor([patterns.date(day_first=day_first)])
        assert extractor.values("03/04/2024") == {"date": [value]}
        for twin in (copy.deepcopy(extractor), pickle.loads(pickle.dumps(extractor))):
            assert twin.values("03/04/2024") == {"date": [value]}
    assert RegexExtractor([patterns.date(day_first=False)]).values("13/04/2024") == {}
    assert RegexExtractor([patterns.date(day_first=True, parameter="day")]).values("1.2.2024") == {
        "day": ["2024-02-01"]
    }


def test_phone_numbers_of_one_country() -> None:
    german = RegexExtractor([patterns.phone(region="DE")])
    assert german.values("030 901820, (0)30 or +1 212 736 5000") == {"phone": ["+4930901820", "+12127365000"]}
    assert german.values("am 24.12.2024 um 12:30") == {}
    with pytest.raises(ConfigError, match="There is no phone region 'Germany': give two capital letters"):
        patterns.phone(region="Germany")


def test_without_phonenumbers_the_pattern_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    for make in (lambda: patterns.pick("phone"), lambda: patterns.phone(region="DE")):
        with pytest.raises(ConfigError, match=r"pip install 'agentkit-cohere\[phone\]'"):
            make()
    assert "phone" not in [pattern.name for pattern in patterns.pick()]


def test_pick_changes_fields_and_names_what_is_wrong() -> None:
    (pattern,) = patterns.pick("iban", iban={"parameter": "account", "id": "X"})
    assert (pattern.key, pattern.id) == ("account", "X")
    assert [p.name for p in patterns.pick("urn", "uuid")] == ["urn", "uuid"]
    assert patterns.amount(parameter="price").key == "price"
    for arguments, changes, message in (
        (("vin",), {}, "There is no ready pattern 'vin': choose from uuid, urn, email"),
        (("uuid",), {"vin": {}}, "There is no ready pattern 'vin'"),
        (("uuid",), {"urn": {}}, "Fields are given for the pattern 'urn', which is not picked"),
        (("uuid",), {"uuid": {"regexp": "x"}}, "pattern 'uuid', field 'regexp': no such field; choose from name"),
        (("uuid",), {"uuid": {"group": 7}}, "pattern 'uuid', field 'group', value 7"),
    ):
        with pytest.raises(ConfigError, match=message):
            patterns.pick(*arguments, **changes)


def test_all_of_them_work_side_by_side() -> None:
    text = (
        "Pay EUR 1.234,50 to DE89 3704 0044 0532 0130 00 by 2024-12-31, ask bob@example.com (+49 30 901820) or see "
        "https://example.com/7410e652-639d-402e-984e-8fd7025f0aac from 10.0.0.1"
    )
    assert RegexExtractor([*patterns.pick(), *patterns.pick("phone")]).values(text) == {
        "email": ["bob@example.com"],
        "url": ["https://example.com/7410e652-639d-402e-984e-8fd7025f0aac"],
        "ip": ["10.0.0.1"],
        "iban": ["DE89370400440532013000"],
        "date_iso": ["2024-12-31"],
        "amount": ["EUR 1234.50"],
        "phone": ["+4930901820"],
    }


@pytest.mark.parametrize(
    ("code", "good"),
    [
        ("9783161484100", True),
        ("080442957X", True),
        ("0804429570", False),
        ("", False),
        ("978316148410X", False),
        ("é" * 10, False),
    ],
)
def test_isbn(code: str, good: bool) -> None:
    assert isbn(code) == good


ANY = RegexExtractor([*patterns.pick(), *patterns.pick("phone")])


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from(list("0123456789.,-:/@+€$ aEGbxTZ'()\u00a0\u2011\n")), max_size=40))
def test_no_text_breaks_them_and_spans_are_slices(text: str) -> None:
    for match in ANY.extract(text):
        assert match.raw == text[match.start : match.end] != ""
    ANY.near_misses(text)
