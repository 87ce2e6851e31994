"""The values of the ready patterns: how a date, an amount, a phone number or an address is checked and read.

A reader returns None for a text that may mean two things, such as 03/04/2024; the match is then a near miss.
"""

from __future__ import annotations

import re
from datetime import date
from importlib import import_module
from urllib.parse import urlsplit

from agentkit.tools.regex.checks import isbn


def is_email(value: str) -> bool:
    """Return True if `value` can be an address: no part is empty, too long, or begins or ends with a dot or hyphen."""
    # 64 and 254 characters: RFC 5321; 63 for a label: RFC 1035.
    local, _, host = value.rpartition("@")
    labels = host.split(".")
    whole = len(local) <= 64 and len(value) <= 254 and ".." not in local and not local.endswith(".")
    return whole and all(label and label[0] != "-" and label[-1] != "-" and len(label) <= 63 for label in labels)


def is_url(value: str) -> bool:
    """Return True if `value` has a host and a port that can exist."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if host == "localhost" or ":" in host:
        return True
    labels = host.removesuffix(".").split(".")
    # A top-level domain in two scripts is two words run together, as in https://example.com次.
    top_ok = labels[-1].isascii() or not any(char.isascii() for char in labels[-1])
    return top_ok and len(labels) > 1 and all(label and len(label) <= 63 for label in labels)


_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_WRITTEN = re.compile(r"([0-9]+|[A-Za-z]{3})[A-Za-z]*\W+([0-9]+|[A-Za-z]{3})[A-Za-z]*\W+([0-9]+)")


def read_date(value: str, day_first: bool | None = None) -> str | None:
    """Return the date in ISO form; None if there is no such day, or if it may mean two days."""
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
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def read_iso_date(value: str) -> str | None:
    """Return `value` if there is such a day, else None."""
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None


_SYMBOLS = {"€": "EUR", "£": "GBP", "$": "$", "¥": "¥", "US$": "USD", "CA$": "CAD", "C$": "CAD", "AU$": "AUD"}
_SYMBOLS |= {"A$": "AUD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "R$": "BRL"}
CURRENCIES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|MYR|NOK|NZD|PHP|PLN|RON"
    "|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
MARKS, SIGNS = ".,'\u2019", "+\u2212-"
"""Separators between the digits of a number, and signs before it, each as the inside of a character class."""

_READ_AMOUNT = re.compile(rf"([{SIGNS}]?)([^0-9{SIGNS}]*)([{SIGNS}]?)([0-9][0-9{MARKS} ]*)(\D*)")


def read_amount(value: str) -> str | None:
    """Return currency, sign and number, as in ``EUR -1234.50``; None if the amount may mean two things."""
    found = _READ_AMOUNT.fullmatch(value.replace("\u00a0", " ").replace("\u202f", " "))
    if found is None:
        return None
    sign, before, inner, figure, after = found.groups()
    unit = before.strip() or after.strip()
    currency = _SYMBOLS.get(unit, unit if unit in CURRENCIES.split("|") else "")
    if not currency or (before.strip() and after.strip()) or (sign and inner):
        return None
    number = _number(figure.strip(), prefixed=bool(before.strip()))
    if number is None:
        return None
    minus = "-" if (sign or inner) in ("-", "\u2212") else ""
    return f"{currency} {minus}{number}"


def _number(figure: str, *, prefixed: bool) -> str | None:
    """Return a figure of any country in plain form; one separator before three digits groups thousands."""
    marks = [char for char in figure if not char.isdigit()]
    whole, decimals = figure, ""
    if marks and marks[-1] in ".," and (marks.count(marks[-1]) == 1):
        head, _, tail = figure.rpartition(marks[-1])
        if len(tail) != 3 or len(marks) > 1 or head == "0":
            whole, decimals = head, tail
    groups = re.split(f"[{MARKS} ]", whole)
    separators = {char for char in whole if not char.isdigit()}
    if len(decimals) > 2 or len(separators) > 1 or (decimals and figure[len(whole)] in separators):
        return None
    if separators and (not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:])):
        return None
    # "EUR 5 200 pieces" does not show whether the 200 belongs to the 5.
    if " " in separators and prefixed and not decimals:
        return None
    return "".join(groups) + (f".{decimals}" if decimals else "")


def read_isbn(value: str) -> str | None:
    """Return the ISBN without blanks and hyphens; None if its check digit is wrong."""
    code = value.replace(" ", "").replace("-", "").upper()
    return code if isbn(code) else None


_DATE_SHAPE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}")


def read_phone(value: str, region: str | None = None) -> str | None:
    """Return the number as +<country><number>; None if no network can have it."""
    library = import_module("phonenumbers")
    if _DATE_SHAPE.fullmatch(value):  # in many countries also a valid number
        return None
    try:
        parsed = library.parse(value, region)
    except library.NumberParseException:
        return None
    if not library.is_valid_number(parsed):
        return None
    return str(library.format_number(parsed, library.PhoneNumberFormat.E164))
