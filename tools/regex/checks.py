"""Checks and conversions of a value, by name: ``validate = "luhn"``, ``convert = "compact"``."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Literal

CheckName = Literal["luhn", "mod97", "uuid", "uuid4", "uuid7", "isbn"]
"""The checks that `Pattern.validate` takes by name."""

ConverterName = Literal["compact", "ip"]
"""The conversions that `Pattern.convert` takes by name."""


def luhn(value: str) -> bool:
    """Return True if `value` passes the Luhn check of payment cards; blanks and hyphens are ignored."""
    digits = value.replace(" ", "").replace("-", "")
    if not (digits.isascii() and digits.isdigit()):
        return False
    total = 0
    for i, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + i % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def mod97(value: str) -> bool:
    """Return True if `value` passes the ISO 7064 mod 97 check of IBANs (its first four characters moved to the end)."""
    code = value.replace(" ", "").upper()
    if len(code) < 5 or not (code.isascii() and code.isalnum()):
        return False
    remainder = 0
    for char in code[4:] + code[:4]:
        for digit in str(int(char, 36)):
            remainder = (remainder * 10 + int(digit)) % 97
    return remainder == 1


def uuid(value: str, versions: str = "12345678") -> bool:
    """Return True if `value` is a UUID of RFC 9562: its version is one of `versions`, its variant 8, 9, a or b."""
    parts = value.removeprefix("urn:").removeprefix("uuid:").split("-")
    hexadecimal = all(c in "0123456789abcdefABCDEF" for part in parts for c in part)
    if not hexadecimal or [len(part) for part in parts] != [8, 4, 4, 4, 12]:
        return False
    return parts[2][0] in versions and parts[3][0] in "89abAB"


def isbn(value: str) -> bool:
    """Return True if `value` is an ISBN of 10 or 13 digits with the right check digit; ignores blanks and hyphens."""
    code = value.replace(" ", "").replace("-", "").upper()
    if not code.isascii():
        return False
    if len(code) == 10 and code[:9].isdigit() and (code[9].isdigit() or code[9] == "X"):
        digits = [10 if char == "X" else int(char) for char in code]
        return sum(digit * weight for digit, weight in zip(digits, range(10, 0, -1), strict=True)) % 11 == 0
    if len(code) == 13 and code.isdigit() and code.startswith(("978", "979")):
        return sum(int(char) * (1 + i % 2 * 2) for i, char in enumerate(code)) % 10 == 0
    return False


CHECKS: dict[CheckName, Callable[[str], bool]] = {
    "luhn": luhn,
    "mod97": mod97,
    "uuid": uuid,
    "uuid4": lambda value: uuid(value, "4"),
    "uuid7": lambda value: uuid(value, "7"),
    "isbn": isbn,
}


def compact(value: str) -> str:
    """Return `value` without blanks and hyphens: the form in which cards, IBANs and ISBNs are sent."""
    return "".join(char for char in value if not char.isspace() and char != "-")


def ip(value: str) -> str | None:
    """Return an IP address, or a network such as 10.0.0.0/8, in the form of RFC 5952; None for any other text."""
    host, slash, prefix = value.partition("/")
    try:
        ipaddress.ip_interface(value)
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # Python writes mapped addresses as the RFC asks only since 3.13.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (f"::ffff:{mapped}" if mapped else str(address)) + slash + prefix


CONVERTERS: dict[ConverterName, Callable[[str], str | None]] = {"compact": compact, "ip": ip}
