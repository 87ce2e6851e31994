import pytest
from support.tools import add

from agentkit import ConfigError, Limits, ToolPolicy, policy_of, with_policy


def test_defaults():
    limits = Limits()
    assert (limits.max_steps, limits.max_seconds, limits.tool_timeout_s) == (15, None, 30.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_steps": 0}, "Limits.max_steps is 0: give a whole number from 1"),
        ({"max_steps": None}, "Limits.max_steps is None"),
        ({"max_steps": 2.5}, "Limits.max_steps is 2.5"),
        ({"max_steps": True}, "Limits.max_steps is True"),
        ({"max_seconds": -1}, "Limits.max_seconds is -1: give a number above 0, or None for no limit"),
        ({"max_seconds": float("nan")}, "Limits.max_seconds is nan"),
        ({"tool_timeout_s": "30"}, "Limits.tool_timeout_s is '30'"),
        ({"max_observation_chars": 0}, "Limits.max_observation_chars is 0"),
    ],
)
def test_bad_limits(given, said):
    with pytest.raises(ConfigError) as caught:
        Limits(**given)
    assert said in str(caught.value)


@pytest.mark.parametrize("given", [{"timeout_s": 0}, {"timeout_s": "soon"}, {"retry": -1}, {"approval": "yes"}])
def test_bad_policies(given):
    with pytest.raises(ConfigError, match="ToolPolicy"):
        ToolPolicy(**given)


def test_with_policy_leaves_the_original_alone():
    slow = with_policy(add, ToolPolicy(timeout_s=300))
    assert policy_of(slow).timeout_s == 300
    assert policy_of(add) == ToolPolicy()
    assert slow.name == "add"
    assert slow.invoke({"a": 1, "b": 2}) == 3
    assert "policy" not in slow.tool_call_schema.model_json_schema()["properties"]  # type: ignore[union-attr]
    assert policy_of(with_policy(slow, ToolPolicy())).timeout_s == "inherit"
