"""What is done to a found value, by name: checks (``validate = "luhn"``) and rewritings (``convert = "compact"``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable


def luhn(value: str) -> bool:
    """Whether the digits of `value` pass the Luhn check of payment cards; blanks and hyphens are skipped."""
    digits = value.replace(" ", "").replace("-", "")
    if not (digits.isascii() and digits.isdigit()):
        return False
    total = 0
    for i, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + i % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def mod97(value: str) -> bool:
    """Whether `value` passes the ISO 7064 mod 97 check as an IBAN does: first four characters moved last."""
    code = value.replace(" ", "").upper()
    if len(code) < 5 or not (code.isascii() and code.isalnum()):
        return False
    remainder = 0
    for char in code[4:] + code[:4]:
        for digit in str(int(char, 36)):
            remainder = (remainder * 10 + int(digit)) % 97
    return remainder == 1


def uuid(value: str, versions: str = "12345678") -> bool:
    """Whether `value` is a UUID of RFC 9562: its version is one of `versions`, its variant 8, 9, a or b."""
    parts = value.removeprefix("urn:").removeprefix("uuid:").split("-")
    hexadecimal = all(c in "0123456789abcdefABCDEF" for part in parts for c in part)
    if not hexadecimal or [len(part) for part in parts] != [8, 4, 4, 4, 12]:
        return False
    return parts[2][0] in versions and parts[3][0] in "89abAB"


def isbn(value: str) -> bool:
    """Whether `value` is an ISBN of 10 or 13 digits with the right check digit; blanks and hyphens are skipped."""
    code = value.replace(" ", "").replace("-", "").upper()
    if not code.isascii():
        return False
    if len(code) == 10 and code[:9].isdigit() and (code[9].isdigit() or code[9] == "X"):
        digits = [10 if char == "X" else int(char) for char in code]
        return sum(digit * weight for digit, weight in zip(digits, range(10, 0, -1), strict=True)) % 11 == 0
    if len(code) == 13 and code.isdigit() and code.startswith(("978", "979")):
        return sum(int(char) * (1 + i % 2 * 2) for i, char in enumerate(code)) % 10 == 0
    return False


CHECKS: dict[str, Callable[[str], bool]] = {
    "luhn": luhn,
    "mod97": mod97,
    "uuid": uuid,
    "uuid4": lambda value: uuid(value, "4"),
    "uuid7": lambda value: uuid(value, "7"),
    "isbn": isbn,
}
"""Every name that `Pattern.validate` knows."""


def compact(value: str) -> str:
    """`value` without blanks and hyphens: how cards, IBANs and ISBNs are sent on."""
    return "".join(char for char in value if not char.isspace() and char != "-")


def ip(value: str) -> str | None:
    """An IPv4 or IPv6 address, or a network such as 10.0.0.0/8, in the form of RFC 5952; None for any other text."""
    host, slash, prefix = value.partition("/")
    try:
        ipaddress.ip_interface(value)
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # Written here, because Python 3.13 began to write mapped addresses as the RFC asks and 3.11 does not.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (f"::ffff:{mapped}" if mapped else str(address)) + slash + prefix


CONVERTERS: dict[str, Callable[[str], str | None]] = {"compact": compact, "ip": ip}
"""Every name that `Pattern.convert` knows."""
