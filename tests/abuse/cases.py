"""All cases, in order."""

from abuse import cases_files, cases_network, cases_resources, cases_secrets, cases_tricks

CASES = [
    *cases_tricks.CASES,
    *cases_secrets.CASES,
    *cases_network.CASES,
    *cases_files.CASES,
    *cases_resources.CASES,
]
BY_ID = {case.id: case for case in CASES}
