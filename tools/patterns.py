"""Ready patterns: ``RegexExtractor(patterns.pick("uuid", "email", "iban"))``.

Each is a `Pattern` like your own, with examples and non-examples that are checked whenever an extractor is made
with it. They follow one rule: what cannot be read with certainty (03/04/2024, +1 555 0100, 1.2.3.4.5) is a near
miss, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from agentkit.base.text import shorten
from agentkit.errors import ConfigError
from agentkit.tools.regex.pattern import Pattern
from agentkit.tools.regex.read_values import (
    CURRENCIES,
    MARKS,
    SIGNS,
    is_email,
    is_url,
    read_amount,
    read_date,
    read_isbn,
    read_iso_date,
    read_phone,
)

__all__ = ["amount", "date", "names", "phone", "pick"]

_HEX = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UUID = "7410e652-639d-402e-984e-8fd7025f0aac"

_V4 = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
_GROUPS = "[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*"

# The length of an IBAN by country (ISO 13616, SWIFT's registry).
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


_MONTH = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    "|Nov(?:ember)?|Dec(?:ember)?"
)
_DATE = (
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th)? (?:{_MONTH})\.?,? [0-9]{{4}}"
    rf"|(?:{_MONTH})\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? [0-9]{{4}}"
)
_BLANK = r"[ \x{a0}\x{202f}]"
_TO = "\u2013-"
_FIGURE = rf"[0-9]+(?:[{MARKS}][0-9]+|{_BLANK}[0-9]{{3}}\b)*"
_UNIT = rf"(?:(?:[A-Z]{{1,3}})?[$]|[€£¥]|{CURRENCIES})"
_MORE = (
    rf"(?:{_BLANK}?[{_TO}]{_BLANK}?[0-9][0-9.,]*|{_BLANK}?(?i:thousand|million|billion|trillion|mio|mrd|bn|mn|[km]))?"
)
_AMOUNT = (
    rf"[{SIGNS}]?{_UNIT}{_BLANK}?[{SIGNS}]?{_FIGURE}(?:{_MORE}\b)?"
    rf"|(?:[0-9][0-9.,]*{_BLANK}?[{_TO}]{_BLANK}?|[{SIGNS}])?{_FIGURE}{_BLANK}?(?:[€£¥]|[$]|(?:{CURRENCIES})\b)"
)


# A table, whatever its length; a function, so that importing the module builds nothing.
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
            "validate": is_email,
            "description": "an e-mail address",
            "examples": ("write to jo.do+list@mail.example.com.", "<a_b@example.co.uk>", "o'neil@example.org"),
            "non_examples": ("a@b", "a..b@example.com", "a@-b.com", "a@b.com@c.com", "jürgen@example.com"),
        },
        "url": {
            "regex": (
                r"""(?i:https?|ftp)://(?:[^\s<>"`{}|\\^()\x{201c}\x{201d}\x{ab}\x{bb}]|\([^\s<>"()]*\))*"""
                r"""(?:[\pL\pN/#=&_~+%$-]|\([^\s<>"()]*\))"""
            ),
            "validate": is_url,
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
            "convert": read_isbn,
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
            "convert": read_iso_date,
            "description": "a date as 2024-12-31; of a time only the date",
            "examples": ("2024-02-29", "at 2024-12-31T23:59:59Z"),
            "non_examples": ("2023-02-29", "2024-13-01", "12024-01-01", "2024-01-01-02", "2024-1-1"),
        },
        "date": {
            "regex": _DATE,
            "ignore_case": True,
            "glue": "-./",
            "convert": read_date,
            "description": "a date as people write it, sent as 2024-12-31",
            "examples": ("24.12.2024", "12/24/2024", "24 December 2024", "Dec. 24, 2024", "May 1st, 2025", "2024-2-9"),
            "non_examples": ("03/04/2024", "30.02.2024", "24.12.2024.5", "1/24.12.2024", "24 Foo 2024", "32 May 2024"),
        },
        "amount": {
            "regex": _AMOUNT,
            "glue": ".,",
            "convert": read_amount,
            "description": "an amount of money with its currency",
            "examples": ("€ 1.234,50", "$1,234.56", "12,50 EUR", "CHF 1'000", "1 234,56 €", "-5 £", "US$5"),
            "non_examples": ("$5-10", "$1,23,4", "5 million", "$5 million", "1234", "EUR 5 200 pieces", "$5k"),
        },
        "phone": {
            # 7 to 17 digits: E.164 allows 15, and a number that is too long must match as a whole to be refused.
            "regex": r"(?:\+|\b00)[0-9](?:[ ()./-]{0,2}[0-9]){6,16}",
            "glue": "-./",
            "convert": read_phone,
            "description": "a phone number with its country code, sent as +49301234567",
            "examples": ("+49 30 901820", "call +1 (212) 736-5000,"),
            "non_examples": ("+1 555 0100", "+49 30 901820 901820 901820", "2024-12-31", "12345678"),
        },
    }


def names() -> tuple[str, ...]:
    """Return the names of the ready patterns."""
    return tuple(_fields())


def pick(*wanted: str, **changes: Mapping[str, Any]) -> list[Pattern]:
    """Return ready patterns by name, in that order; without a name, all that need no other package.

    Args:
        *wanted: Names from `names()`.
        **changes: Other values for fields, by the pattern's name: ``pick("iban", iban={"parameter": "account"})``.

    Raises:
        ConfigError: There is no pattern of that name, a change is for a pattern that is not picked, or, for "phone",
            the package phonenumbers is not installed (extra ``phone``).
    """
    library = _fields()
    chosen = wanted or tuple(name for name in library if name != "phone")
    for name in (*chosen, *changes):
        if name not in library:
            raise ConfigError(f"There is no ready pattern {shorten(repr(name))}: choose from {', '.join(library)}.")
    for name in changes:
        if name not in chosen:
            raise ConfigError(f"Fields are given for the pattern {name!r}, which is not picked: name it, too.")
    if "phone" in chosen:
        _need_phonenumbers()
    return [_made(name, library[name], changes.get(name, {})) for name in chosen]


def date(*, day_first: bool, **changes: Any) -> Pattern:
    """Return the pattern "date" for texts whose order is known: 03/04/2024 is in April if `day_first`, else in March.

    Args:
        day_first: True if the day is written before the month.
        **changes: Other values for fields.
    """
    own = {
        "convert": partial(read_date, day_first=day_first),
        "examples": ("03/04/2024",),
        "non_examples": ("30.02.2024", "32/12/2024", "24/12/2024.5"),
    }
    return _made("date", _fields()["date"], own, changes)


def amount(**changes: Any) -> Pattern:
    """Return the pattern "amount" with other values for fields.

    A value is the currency and the number, as in ``EUR 1234.50``. ``$`` and ``¥`` belong to several countries and
    stay as they are.
    """
    return _made("amount", _fields()["amount"], changes)


def phone(*, region: str, **changes: Any) -> Pattern:
    """Return the pattern "phone" for numbers with or without a country code, the latter read as those of `region`.

    Args:
        region: Two capital letters, such as "DE" or "US".
        **changes: Other values for fields.

    Raises:
        ConfigError: There is no such region, or the package phonenumbers is not installed (extra ``phone``).
    """
    library = _need_phonenumbers()
    if region not in library.SUPPORTED_REGIONS:
        raise ConfigError(f"There is no phone region {shorten(repr(region))}: give two capital letters, such as 'DE'.")
    own = {
        "regex": r"(?:\+|\()?[0-9](?:[ ()./-]{0,2}[0-9]){5,16}",
        "convert": partial(read_phone, region=region),
        "examples": (),
        "non_examples": ("123", "2024-12-31"),
    }
    return _made("phone", _fields()["phone"], own, changes)


def _made(name: str, *layers: Mapping[str, Any]) -> Pattern:
    """Return a pattern whose fields are those of all `layers`, of which the last wins."""
    fields: dict[str, Any] = {"name": name}
    for layer in layers:
        fields.update(layer)
    return Pattern(**fields)


def _need_phonenumbers() -> ModuleType:
    try:
        return import_module("phonenumbers")
    except ImportError as error:
        raise ConfigError(
            "The pattern 'phone' needs the package phonenumbers: pip install 'agentkit-cohere[phone]'."
        ) from error
