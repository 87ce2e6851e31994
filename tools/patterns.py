"""Ready patterns: ``RegexExtractor(patterns.pick("uuid", "email", "iban"))``.

Each is a `Pattern` like your own, with examples and non-examples that are checked whenever an extractor is made of
it. They follow one rule: what cannot be read with certainty (03/04/2024, +1 555 0100, 1.2.3.4.5) is a near miss,
never a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date as Date
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.tools.regex.checks import isbn as is_isbn
from agentkit.tools.regex.pattern import Pattern

__all__ = ["amount", "date", "names", "phone", "pick"]

_HEX = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UUID = "7410e652-639d-402e-984e-8fd7025f0aac"

_V4 = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
_GROUPS = "[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*"

# How long an IBAN is, by country (ISO 13616, registry of SWIFT).
_IBAN_LENGTHS = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24
FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32
LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24
RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""


def _iban_regex() -> str:
    def body(length: int) -> str:
        groups, last = divmod(length - 4, 4)
        tail = rf"(?:[ \x{{a0}}]?[A-Z0-9]{{{last}}})" if last else ""
        return rf"(?:[ \x{{a0}}]?[A-Z0-9]{{4}}){{{groups}}}{tail}"

    countries: dict[int, list[str]] = {}
    for code in _IBAN_LENGTHS.split():
        countries.setdefault(int(code[2:]), []).append(code[:2])
    return "|".join(f"(?:{'|'.join(codes)})[0-9]{{2}}{body(length)}" for length, codes in sorted(countries.items()))


def _email(value: str) -> bool:
    """No part of an address may begin or end with a dot or a hyphen, or hold two dots in a row."""
    local, _, host = value.rpartition("@")
    labels = host.split(".")
    whole = len(local) <= 64 and len(value) <= 254 and ".." not in local and not local.endswith(".")
    return whole and all(label and label[0] != "-" and label[-1] != "-" and len(label) <= 63 for label in labels)


def _url(value: str) -> bool:
    """A host that can be one, and a port that can."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if host == "localhost" or ":" in host:
        return True
    labels = host.removesuffix(".").split(".")
    # A top level of two scripts is two words run together, as in https://example.com次.
    top_ok = labels[-1].isascii() or not any(char.isascii() for char in labels[-1])
    return top_ok and len(labels) > 1 and all(label and len(label) <= 63 for label in labels)


_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    "|Nov(?:ember)?|Dec(?:ember)?"
)
_DATE = (
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th)? (?:{_MONTH})\.?,? [0-9]{{4}}"
    rf"|(?:{_MONTH})\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}}"
)
_WRITTEN = re.compile(r"([0-9]+|[A-Za-z]{3})[A-Za-z]*\W+([0-9]+|[A-Za-z]{3})[A-Za-z]*\W+([0-9]+)")


def _date(value: str, day_first: bool | None = None) -> str | None:
    """The date in ISO form; None where there is no such day, or two days it may mean."""
    found = _WRITTEN.fullmatch(value)
    if found is None:
        return None
    a, b, c = found.groups()
    if len(a) == 4 and a.isdigit():
        year, month, day = int(a), int(b), int(c)
    elif not a.isdigit() or not b.isdigit():
        word, number = (a, b) if b.isdigit() else (b, a)
        if not number.isdigit() or word.title() not in _MONTHS:
            return None
        year, month, day = int(c), _MONTHS.index(word.title()) + 1, int(number)
    else:
        first, second, year = int(a), int(b), int(c)
        known = True if "." in value else day_first
        if known is None and first != second and first <= 12 and second <= 12:
            return None
        day, month = (first, second) if known or (known is None and first > 12) else (second, first)
    try:
        return Date(year, month, day).isoformat()
    except ValueError:
        return None


def _iso_date(value: str) -> str | None:
    try:
        return Date.fromisoformat(value).isoformat()
    except ValueError:
        return None


_SYMBOLS = {"€": "EUR", "£": "GBP", "$": "$", "¥": "¥", "US$": "USD", "CA$": "CAD", "C$": "CAD", "AU$": "AUD"}
_SYMBOLS |= {"A$": "AUD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "R$": "BRL"}
_CURRENCIES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|MYR|NOK|NZD|PHP|PLN|RON"
    "|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
_BLANK = r"[ \x{a0}\x{202f}]"
_MARK, _SIGN, _TO = ".,'\u2019", "+\u2212-", "\u2013-"
_FIGURE = rf"[0-9]+(?:[{_MARK}][0-9]+|{_BLANK}[0-9]{{3}}\b)*"
_UNIT = rf"(?:(?:[A-Z]{{1,3}})?[$]|[€£¥]|{_CURRENCIES})"
_MORE = (
    rf"(?:{_BLANK}?[{_TO}]{_BLANK}?[0-9][0-9.,]*|{_BLANK}?(?i:thousand|million|billion|trillion|mio|mrd|bn|mn|[km]))?"
)
_AMOUNT = (
    rf"[{_SIGN}]?{_UNIT}{_BLANK}?[{_SIGN}]?{_FIGURE}(?:{_MORE}\b)?"
    rf"|(?:[0-9][0-9.,]*{_BLANK}?[{_TO}]{_BLANK}?|[{_SIGN}])?{_FIGURE}{_BLANK}?(?:[€£¥]|[$]|(?:{_CURRENCIES})\b)"
)
_READ_AMOUNT = re.compile(rf"([{_SIGN}]?)([^0-9{_SIGN}]*)([{_SIGN}]?)([0-9][0-9{_MARK} ]*)(\D*)")


def _amount(value: str) -> str | None:
    """``EUR 1234.50``: the currency, a sign where there is one, and the number; None where it may mean two things."""
    found = _READ_AMOUNT.fullmatch(value.replace("\u00a0", " ").replace("\u202f", " "))
    if found is None:
        return None
    sign, before, inner, figure, after = found.groups()
    unit = before.strip() or after.strip()
    currency = _SYMBOLS.get(unit, unit if unit in _CURRENCIES.split("|") else "")
    if not currency or (before.strip() and after.strip()) or (sign and inner):
        return None
    number = _number(figure.strip(), prefixed=bool(before.strip()))
    if number is None:
        return None
    minus = "-" if (sign or inner) in ("-", "\u2212") else ""
    return f"{currency} {minus}{number}"


def _number(figure: str, *, prefixed: bool) -> str | None:
    """A figure of any country in plain form. One separator before three digits groups thousands."""
    marks = [char for char in figure if not char.isdigit()]
    whole, decimals = figure, ""
    if marks and marks[-1] in ".," and (marks.count(marks[-1]) == 1):
        head, _, tail = figure.rpartition(marks[-1])
        if len(tail) != 3 or len(marks) > 1 or head == "0":
            whole, decimals = head, tail
    groups = re.split(f"[{_MARK} ]", whole)
    separators = {char for char in whole if not char.isdigit()}
    if len(decimals) > 2 or len(separators) > 1 or (decimals and figure[len(whole)] in separators):
        return None
    if separators and (not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:])):
        return None
    # "EUR 5 200 pieces": whether the 200 belongs to the 5 cannot be seen.
    if " " in separators and prefixed and not decimals:
        return None
    return "".join(groups) + (f".{decimals}" if decimals else "")


def _isbn(value: str) -> str | None:
    code = value.replace(" ", "").replace("-", "").upper()
    return code if is_isbn(code) else None


_DATE_SHAPE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}")


def _e164(value: str, region: str | None = None) -> str | None:
    """The number as +<country><number>; None where no network has it."""
    library = import_module("phonenumbers")
    if _DATE_SHAPE.fullmatch(value):  # in many countries it would be a number, too
        return None
    try:
        parsed = library.parse(value, region)
    except library.NumberParseException:
        return None
    if not library.is_valid_number(parsed):
        return None
    return str(library.format_number(parsed, library.PhoneNumberFormat.E164))


def _fields() -> dict[str, dict[str, Any]]:
    return {
        "uuid": {
            "regex": _HEX,
            "ignore_case": True,
            "normalize": ("hyphens", "lower"),
            "near": "[0-9a-f]{6,}(?:-[0-9a-f]{2,}){3,}",
            "description": "8-4-4-4-12 hexadecimal digits",
            "examples": (_UUID, f"({_UUID.upper()})"),
            "non_examples": (_UUID + "ff", _UUID[:-1], _UUID.replace("-", "")),
        },
        "urn": {
            "regex": f"urn:(?:uuid:)?(?P<id>{_HEX})",
            "template": "urn:{id}",
            "ignore_case": True,
            "normalize": ("hyphens", "lower"),
            "description": "urn: and a uuid",
            "examples": (f"urn:{_UUID}", f"URN:UUID:{_UUID}"),
            "non_examples": (_UUID, f"urn:{_UUID}0", "urn:isbn:0451450523"),
        },
        "email": {
            "regex": r"[A-Za-z0-9_][A-Za-z0-9._%+'-]*@(?:[A-Za-z0-9-]+\.)+(?:[A-Za-z]{2,}|xn--[a-z0-9-]+)",
            "glue": "@.-+%",
            "validate": _email,
            "description": "an e-mail address",
            "examples": ("write to jo.do+list@mail.example.com.", "<a_b@example.co.uk>", "o'neil@example.org"),
            "non_examples": ("a@b", "a..b@example.com", "a@-b.com", "a@b.com@c.com", "jürgen@example.com"),
        },
        "url": {
            "regex": (
                r"""(?i:https?|ftp)://(?:[^\s<>"`{}|\\^()\x{201c}\x{201d}\x{ab}\x{bb}]|\([^\s<>"()]*\))*"""
                r"""(?:[\pL\pN/#=&_~+%$-]|\([^\s<>"()]*\))"""
            ),
            "validate": _url,
            "description": "an http, https or ftp address",
            "examples": (
                "see https://example.com/a?b=c#d.",
                "(https://en.wikipedia.org/wiki/Mercury_(planet))",
                "http://localhost:8080/x",
                "https://de.wikipedia.org/wiki/Zürich",
            ),
            "non_examples": ("example.com", "http://", "https://a", "http://a.b:99999", "https://example.com次"),
        },
        "ip": {
            "regex": (
                rf"{_V4}(?:/[0-9]{{1,2}}\b)?|(?:[0-9a-f]{{1,4}}:){{7,}}[0-9a-f]{{1,4}}(?:/[0-9]{{1,3}}\b)?"
                rf"|(?:{_GROUPS}|\B)::(?:(?:{_GROUPS}:)?{_V4}|{_GROUPS})(?:/[0-9]{{1,3}}\b)?"
                rf"|{_GROUPS}::(?:/[0-9]{{1,3}}\b)?"
            ),
            "ignore_case": True,
            "glue": ".",
            "convert": "ip",
            "description": "an IPv4 or IPv6 address or network",
            "examples": (
                "192.168.0.1",
                "at 10.0.0.0/8,",
                "2001:DB8::1",
                "10.0.0.1:80",
                "[::ffff:10.0.0.1]",
                "fe80::1.",
            ),
            "non_examples": (
                "1.2.3.4.5",
                "256.1.1.1",
                "1.2.3",
                "1:2:3:4:5:6:7:8:9",
                "12:30:45",
                "std::vector",
                "std::add",
            ),
        },
        "iban": {
            "regex": _iban_regex(),
            "ignore_case": True,
            "normalize": ("upper",),
            "convert": "compact",
            "validate": "mod97",
            "description": "an IBAN of its country's length with the right check digits",
            "examples": ("GB82 WEST 1234 5698 7654 32", "de89370400440532013000", "BE68 5390 0754 7034 USD 50"),
            "non_examples": ("GB82 WEST 1234 5698 7654 33", "DE8937040044053201300", "XX89370400440532013000"),
        },
        "card": {
            "regex": (
                r"3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}|3[0689][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{4}"
                r"|[2-6][0-9]{15,18}|[2-6][0-9]{3}(?:[ -]?[0-9]{4}){3}"
            ),
            "glue": "-",
            "convert": "compact",
            "validate": "luhn",
            "description": "a payment card's number with the right Luhn digit",
            "examples": ("4111 1111 1111 1111", "3782 822463 10005", "card 5500-0000-0000-0004."),
            "non_examples": ("4111 1111 1111 1112", "41111111111111111111", "4111-1111-1111-1111-1111"),
        },
        "isbn": {
            "regex": r"(?:97[89][- ]?)?[0-9](?:[- ]?[0-9]){8}[- ]?[0-9X]",
            "ignore_case": True,
            "glue": "-",
            "convert": _isbn,
            "description": "an ISBN of 10 or 13 digits with the right check digit",
            "examples": ("978-3-16-148410-0", "ISBN 0-306-40615-2", "080442957X"),
            "non_examples": ("978-3-16-148410-1", "0-306-40615-3", "1978-3-16-148410-0"),
        },
        "date_iso": {
            "regex": (
                r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
                r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
            ),
            "group": 1,
            "glue": "-",
            "convert": _iso_date,
            "description": "a date as 2024-12-31; of a time only the date",
            "examples": ("2024-02-29", "at 2024-12-31T23:59:59Z"),
            "non_examples": ("2023-02-29", "2024-13-01", "12024-01-01", "2024-01-01-02", "2024-1-1"),
        },
        "date": {
            "regex": _DATE,
            "ignore_case": True,
            "glue": "-./",
            "convert": _date,
            "description": "a date as people write it, sent as 2024-12-31",
            "examples": ("24.12.2024", "12/24/2024", "24 December 2024", "Dec. 24, 2024", "May 1st, 2025", "2024-2-9"),
            "non_examples": ("03/04/2024", "30.02.2024", "24.12.2024.5", "1/24.12.2024", "24 Foo 2024", "32 May 2024"),
        },
        "amount": {
            "regex": _AMOUNT,
            "glue": ".,",
            "convert": _amount,
            "description": "an amount of money with its currency",
            "examples": ("€ 1.234,50", "$1,234.56", "12,50 EUR", "CHF 1'000", "1 234,56 €", "-5 £", "US$5"),
            "non_examples": ("$5-10", "$1,23,4", "5 million", "$5 million", "1234", "EUR 5 200 pieces", "$5k"),
        },
        "phone": {
            "regex": r"(?:\+|\b00)[0-9](?:[ ()./-]{0,2}[0-9]){6,16}",
            "glue": "-./",
            "convert": _e164,
            "description": "a phone number with its country code, sent as +49301234567",
            "examples": ("+49 30 901820", "call +1 (212) 736-5000,"),
            "non_examples": ("+1 555 0100", "+49 30 901820 901820 901820", "2024-12-31", "12345678"),
        },
    }


def names() -> tuple[str, ...]:
    """The names of the ready patterns."""
    return tuple(_fields())


def pick(*wanted: str, **changes: Mapping[str, Any]) -> list[Pattern]:
    """Ready patterns by name, in that order; none named gives all that need no further package.

    Args:
        *wanted: Names out of `names()`.
        **changes: Fields to set otherwise, by the pattern's name: ``pick("iban", iban={"parameter": "account"})``.

    Raises:
        ConfigError: No pattern of that name, a change for one that is not picked, or, for "phone", the package
            phonenumbers is not installed (extra ``phone``).
    """
    library = _fields()
    chosen = wanted or tuple(name for name in library if name != "phone")
    for name in (*chosen, *changes):
        if name not in library:
            raise ConfigError(f"There is no ready pattern {shorten(repr(name))}: choose from {', '.join(library)}.")
    for name in changes:
        if name not in chosen:
            raise ConfigError(f"Fields are given for the pattern {name!r}, which is not picked: name it, too.")
    made = []
    for name in chosen:
        if name == "phone":
            _need_phonenumbers()
        made.append(_with(Pattern(name=name, **library[name]), changes.get(name, {})))
    return made


def date(*, day_first: bool, **changes: Any) -> Pattern:
    """The pattern "date" for texts in which 03/04/2024 is known to be in April (`day_first`), or in March.

    Args:
        day_first: Whether the day stands first.
        **changes: Fields to set otherwise.
    """
    non_examples = ("30.02.2024", "32/12/2024", "24/12/2024.5")
    made = Pattern(name="date", **{**_fields()["date"], "non_examples": non_examples, "examples": ("03/04/2024",)})
    return _with(made, {"convert": partial(_date, day_first=day_first), **changes})


def amount(**changes: Any) -> Pattern:
    """The pattern "amount", with fields set otherwise.

    A value is the currency and the number, as in ``EUR 1234.50``. ``$`` and ``¥`` are several countries' and stay.
    """
    return _with(pick("amount")[0], changes)


def phone(*, region: str, **changes: Any) -> Pattern:
    """The pattern "phone" that also takes numbers without a country code, read as those of `region`.

    Args:
        region: Two letters, such as "DE" or "US".
        **changes: Fields to set otherwise.

    Raises:
        ConfigError: No such region, or the package phonenumbers is not installed (extra ``phone``).
    """
    library = _need_phonenumbers()
    if region not in library.SUPPORTED_REGIONS:
        raise ConfigError(f"There is no phone region {shorten(repr(region))}: give two capital letters, such as 'DE'.")
    fields = _fields()["phone"] | {"examples": (), "non_examples": ("123", "2024-12-31")}
    made = Pattern(name="phone", **{**fields, "regex": r"(?:\+|\()?[0-9](?:[ ()./-]{0,2}[0-9]){5,16}"})
    return _with(made, {"convert": partial(_e164, region=region), **changes})


def _with(pattern: Pattern, changes: Mapping[str, Any]) -> Pattern:
    try:
        return replace(pattern, **changes) if changes else pattern
    except TypeError as error:
        raise ConfigError(f"The pattern {pattern.name!r} has no such field: {shorten(error)}.") from error


def _need_phonenumbers() -> Any:
    try:
        return import_module("phonenumbers")
    except ImportError as error:
        raise ConfigError(
            "The pattern 'phone' needs the package phonenumbers: pip install 'agentkit-cohere[phone]'."
        ) from error
