"""A field's annotation is both what is checked and what the error says."""

from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, replace
from typing import Annotated, Literal

import pytest
from pydantic import Field

from agentkit import ConfigError
from agentkit.base.settings import Give, settings

Count = Annotated[int, Field(ge=1)]


@settings
class Oven:
    """An oven."""

    heat: Annotated[float, Field(gt=0, le=300)]
    trays: Count = 1
    most: Annotated[Count | None, Give("a whole number from 1, or None for no limit")] = None
    mode: Literal["fan", "grill"] | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    names: Sequence[str] = ()
    bell: Callable[[], None] | bool = False

    def __post_init__(self) -> None:
        if self.mode == "grill" and self.heat < 200:
            raise ConfigError("Oven: the grill needs 200.")


def test_what_fits_is_taken_as_it_is():
    oven = Oven(heat=180, names=["a"], mode="fan")
    assert (oven.heat, oven.names, oven.mode, oven.trays) == (180, ["a"], "fan", 1)
    assert oven == Oven(heat=180, names=["a"], mode="fan")
    assert replace(oven, trays=2).trays == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"heat": 0}, "Oven.heat is 0: give a number above 0 to 300."),
        ({"heat": float("nan")}, "Oven.heat is nan: give a number above 0 to 300."),
        ({"heat": "180"}, "Oven.heat is '180': give a number above 0 to 300."),
        ({"heat": True}, "Oven.heat is True: give a number above 0 to 300."),
        ({"heat": 1, "trays": 0}, "Oven.trays is 0: give a whole number from 1."),
        ({"heat": 1, "trays": 1.0}, "Oven.trays is 1.0: give a whole number from 1."),
        ({"heat": 1, "trays": None}, "Oven.trays is None: give a whole number from 1."),
        ({"heat": 1, "most": 0}, "Oven.most is 0: give a whole number from 1, or None for no limit."),
        ({"heat": 1, "mode": "steam"}, "Oven.mode is 'steam': give 'fan' or 'grill', or None."),
        ({"heat": 1, "share": 2}, "Oven.share is 2: give a number from 0 to 1."),
        ({"heat": 1, "names": "a"}, "Oven.names is 'a': give a list of texts."),
        ({"heat": 1, "names": ["a", 1]}, "Oven.names is ['a', 1]: give a list of texts."),
        ({"heat": 1, "bell": "ring"}, "Oven.bell is 'ring': give a function, or True or False."),
        ({"heat": 1, "tray": 2}, "Oven has no field 'tray': did you mean 'trays'?"),
        ({"heat": 1, "x": 2}, "Oven has no field 'x': its fields are heat, trays, most, mode, share, names, bell."),
        ({}, "Oven.heat is missing: give a number above 0 to 300."),
        ({"heat": 100, "mode": "grill"}, "Oven: the grill needs 200."),
    ],
)
def test_the_error_names_field_value_and_what_is_allowed(given, said):
    with pytest.raises(ConfigError) as caught:
        Oven(**given)
    assert str(caught.value) == said


def test_a_value_without_its_name_is_refused():
    with pytest.raises(ConfigError, match="by name: give heat="):
        Oven(180)  # type: ignore[misc]


def test_it_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Oven(heat=1).heat = 2  # type: ignore[misc]
