"""The tests notice small changes of the code (`mutate.py` says how they are made and chosen)."""

import ast

import pytest
from mutation.mutate import ROOT, SUBJECTS, equal_in_effect, mutants, sample, survivors

EACH = 12  # of five subjects: 60 mutants, about 15 minutes on two cores
MOST_UNNOTICED = 0.05


@pytest.mark.soak
def test_at_most_a_twentieth_of_the_mutants_goes_unnoticed():
    work = [(subject, mutant) for subject in SUBJECTS for mutant in sample(subject, EACH)]
    known = equal_in_effect()
    unnoticed = [mutant for mutant in survivors(work) if (mutant.file, *mutant.lines()) not in known]
    assert len(unnoticed) <= MOST_UNNOTICED * len(work), "\n".join(map(str, unnoticed))


@pytest.mark.soak
def test_what_is_listed_as_equal_in_effect_still_stands_in_the_code():
    listed = equal_in_effect()
    there = {(mutant.file, *mutant.lines()) for file in {key[0] for key in listed} for mutant in mutants(file)}
    assert sorted(set(listed) - there) == []


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_mutant_is_another_program_that_compiles(subject):
    chosen = sample(subject, 15)
    assert len({mutant.kind for mutant in chosen}) >= 4
    for mutant in chosen:
        assert ast.dump(ast.parse(mutant.applied())) != ast.dump(ast.parse((ROOT / mutant.file).read_bytes())), mutant


def test_a_sample_is_the_same_each_time_and_continues():
    assert sample("regex", 10) == [*sample("regex", 4), *sample("regex", 6, skip=4)]
    assert sample("regex", 10) != sample("regex", 10, seed=2)
