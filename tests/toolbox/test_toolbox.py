import asyncio
import json
import threading
import time
from decimal import Decimal
from typing import Annotated, Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException, tool
from pydantic import BaseModel, ConfigDict, Field, create_model

from agentkit import Artifact, ConfigError, Observation, ToolCall, ToolPolicy, with_policy
from agentkit.loop.protocol import Act
from agentkit.observe import observe
from agentkit.toolbox.direct_call import direct_call
from agentkit.toolbox.toolbox import Toolbox


@tool(description="Add two integers.")
def add(a: int, b: int = 1) -> int:
    return a + b


@tool(description="Fails.")
def broken(kind: str) -> str:
    if kind == "exit":
        raise SystemExit(3)
    if kind == "validation":
        add.args_schema.model_validate({"a": "x"})  # type: ignore[union-attr]
    raise {"value": ValueError, "timeout": TimeoutError}[kind]("no such thing")


@tool(description="Waits.")
def wait(seconds: float) -> str:
    time.sleep(seconds)
    return f"waited {seconds}"


@tool(description="Waits without blocking.")
async def wait_async(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return f"waited {seconds}"


@tool(description="Says which session it is in.")
def where(config: RunnableConfig) -> str:
    return config.get("configurable", {})["session"]


@tool(description="Says its call id.")
def my_id(call_id: Annotated[str, InjectedToolCallId]) -> str:
    return call_id


CONFIG: RunnableConfig = {"configurable": {"session": "s1"}}


def call(name: str, call_id: str = "c1", /, **arguments: Any) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


async def gathered(observations):
    return [observation async for observation in observations]


def act(tools: list[BaseTool], *calls: ToolCall, seconds_left: float | None = None, timeout_s: float | None = 30.0):
    """Run the calls through both drivers; what they make of them must be the same."""
    box, wanted = Toolbox(tools, timeout_s), Act(calls, (), seconds_left)
    seen, aseen = list(box.act(wanted, CONFIG)), asyncio.run(gathered(box.aact(wanted, CONFIG)))
    assert [(o.content, o.ok, o.error) for o in seen] == [(o.content, o.ok, o.error) for o in aseen]
    return seen


def test_a_result():
    (seen,) = act([add], call("add", a=2, b=3))
    assert (seen.content, seen.ok, seen.error, seen.value) == ("5", True, None, 5)
    assert seen.duration_s > 0


def test_an_unknown_tool_names_the_nearest():
    (seen,) = act([add, wait], call("ad"))
    assert seen.content == "There is no tool named 'ad'. Did you mean 'add'? Available tools: add, wait."
    assert (seen.ok, seen.error) == (False, "unknown_tool")
    (none,) = act([], call("add"))
    assert "this agent has no tools" in none.content


def test_arguments_that_do_not_fit_name_what_is_wrong_and_what_is_expected():
    (seen,) = act([add], call("add", a="two", b=1))
    assert (seen.ok, seen.error) == (False, "invalid_arguments")
    assert seen.content == (
        "add was not called: invalid arguments. a: Input should be a valid integer, unable to parse string as an "
        "integer (got 'two'). Expected: a (integer, required), b (integer)."
    )
    (missing,) = act([add], call("add"))
    assert "a: Field required." in missing.content


def test_arguments_that_are_no_json():
    bad = ToolCall(id="c1", name="add", error="Expecting value", raw='{"a": ')
    (seen,) = act([add], bad)
    assert (seen.ok, seen.error) == (False, "invalid_arguments")
    assert 'Received: {"a":.' in seen.content


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("value", "broken failed: ValueError: no such thing"),
        ("timeout", "broken failed: TimeoutError: no such thing"),
        ("exit", "broken failed: SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("timeout_s", [30.0, None])
def test_an_exception_is_an_observation(kind, text, timeout_s):
    (seen,) = act([broken], call("broken", kind=kind), timeout_s=timeout_s)
    assert (seen.content, seen.ok, seen.error) == (text, False, "exception")


def test_a_validation_error_inside_the_tool_is_not_blamed_on_the_arguments():
    (seen,) = act([broken], call("broken", kind="validation"))
    assert seen.error == "exception"
    assert seen.content.startswith("broken failed: ValidationError: ")


@pytest.mark.parametrize("slow", [wait, wait_async])
def test_out_of_time(slow):
    quick = with_policy(slow, ToolPolicy(timeout_s=0.05))
    (seen,) = act([quick], call(slow.name, seconds=5))
    assert (seen.ok, seen.error) == (False, "timeout")
    assert f"{slow.name} timed out after 0.05 s: outcome unknown" in seen.content


def test_the_run_has_less_time_left_than_the_tool():
    (seen,) = act([wait], call("wait", seconds=5), seconds_left=0.05)
    assert "timed out after 0.05 s" in seen.content


def test_calls_run_side_by_side_and_come_back_in_order():
    barrier = threading.Barrier(3, timeout=10)

    @tool(description="Waits for the others.")
    def meet(n: int) -> int:
        barrier.wait()
        return n

    seen = act([meet], *(call("meet", f"c{n}", n=n) for n in range(3)))
    assert [o.content for o in seen] == ["0", "1", "2"]


def test_one_failure_does_not_disturb_the_others():
    seen = act(
        [add, broken, with_policy(wait, ToolPolicy(timeout_s=0.05))],
        call("broken", kind="value"),
        call("wait", "c2", seconds=5),
        call("nothing", "c3"),
        call("add", "c4", a=1, b=1),
    )
    assert [o.error for o in seen] == ["exception", "timeout", "unknown_tool", None]


def test_an_async_tool_that_swallows_its_cancellation_is_left_behind():
    async def stubborn() -> str:
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)
        return "late"

    deaf = with_policy(
        StructuredTool.from_function(coroutine=stubborn, name="deaf", description="Deaf."),
        ToolPolicy(timeout_s=0.05),
    )
    (seen,) = asyncio.run(gathered(Toolbox([deaf], None).aact(Act((call("deaf"),), ()), CONFIG)))
    assert seen.error == "timeout"


def test_session_and_call_id_reach_the_tool():
    assert [o.content for o in act([where, my_id], call("where"), call("my_id", "c2"))] == ["s1", "c2"]


def test_content_and_artifact():
    class Drawn:
        ok = False
        artifacts = (Artifact(name="a.png", data=b"x"),)

        @property
        def facts(self) -> dict[str, Any]:
            return {"files": ["a.png"]}

    drawn = Drawn()

    @tool(description="Draws.", response_format="content_and_artifact")
    def draw() -> tuple[str, Drawn]:
        return "drawn", drawn

    (seen,) = act([draw], call("draw"))
    assert (seen.content, seen.ok, seen.error) == ("drawn", False, "failed")
    assert seen.artifacts == drawn.artifacts
    assert seen.facts == {"files": ["a.png"]}
    assert seen.value is drawn


def test_a_handled_tool_error_keeps_its_status():
    def refuse() -> str:
        raise ToolException("not today")

    refused = StructuredTool.from_function(refuse, description="Refuses.", handle_tool_error=True)
    (seen,) = act([refused], call("refuse"))
    assert (seen.content, seen.ok, seen.error) == ("not today", False, "failed")


class Row(BaseModel):
    n: int = Field(alias="N")


class Opaque:
    pass


class Spoken:
    def __str__(self) -> str:
        return "spoken"


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", "(no output)"),
        (None, "(no output)"),
        ({"objref": ["GLÜ"]}, '{"objref": ["GLÜ"]}'),
        ([1, 2.5, None], "[1, 2.5, null]"),
        ({"price": Decimal("1.50")}, '{"price": "1.50"}'),
        (Row(N=3), '{"n":3}'),
        (Spoken(), "spoken"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ("NUL \x00 and \ud800", "NUL \\x00 and \\ud800"),
    ],
)
def test_any_value_becomes_text(value, text):
    seen = observe("t", value)
    assert (seen.content, seen.ok) == (text, True)


@pytest.mark.parametrize("value", [Opaque(), {"x": Opaque()}, Unspeakable()])
def test_a_value_without_text_is_named(value):
    seen = observe("t", value)
    assert not seen.ok
    assert "which is neither text nor JSON" in seen.content
    assert seen.value is value
    assert "0x" not in seen.content


def test_a_value_that_holds_itself():
    assert observe("t", CIRCLE).content == "[[...]]"


def test_a_tool_message_is_taken_as_it_is():
    message = ToolMessage("no", tool_call_id="x", status="error")
    assert observe("t", message) == Observation(content="no", ok=False, error="failed", value="no")


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ([add, add], "Two tools are named 'add'"),
        ([add.model_copy(update={"name": "recall"})], "the name of a built-in one"),
        ([add.model_copy(update={"name": "add two"})], "A tool is named 'add two'"),
        ([add.model_copy(update={"name": ""})], "A tool is named ''"),
        ([lambda: 1], "not a LangChain tool"),
    ],
)
def test_bad_tools(tools, said):
    with pytest.raises(ConfigError, match=said):
        Toolbox(tools, None)


# --- the short way around LangChain ------------------------------------------------------------------------


def nested(row: dict[str, int], names: list[str], flag: bool = False) -> str:
    return json.dumps([row, names, flag])


NESTED = StructuredTool.from_function(nested, description="Nested.")


@pytest.mark.parametrize(
    ("plain", "arguments"),
    [
        (add, {"a": 1, "b": 2}),
        (add, {"a": "7"}),
        (NESTED, {"row": {"x": "1"}, "names": ["a"]}),
        (NESTED, {"row": {}, "names": [], "flag": "true"}),
    ],
)
def test_the_short_way_gives_what_langchain_gives(plain, arguments):
    direct = direct_call(plain)
    assert direct is not None
    assert direct(dict(arguments), CONFIG) == plain.invoke(dict(arguments), CONFIG)


@pytest.mark.parametrize("other", [where, my_id, wait_async, add.model_copy(update={"callbacks": [object()]})])
def test_other_tools_go_through_langchain(other):
    assert direct_call(other) is None


def session_of(_: Any, config: RunnableConfig) -> str | None:
    return config.get("configurable", {}).get("session")


def test_a_runnable_inside_a_tool_sees_the_session():
    inner = RunnableLambda(session_of)

    @tool(description="Asks a runnable.")
    def outer() -> str:
        return str(inner.invoke(None))

    assert direct_call(outer) is not None
    assert [o.content for o in act([outer], call("outer"))] == ["s1"]


def test_the_direct_path_steps_aside_where_langchain_treats_a_name_in_its_own_way():
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        n: int

    class WithArgs(BaseModel):
        args: str

    def by_args(args: str) -> str:
        return args

    def by_config(n: int, config: dict) -> str:
        return f"{n} {sorted(config)}"

    opened = StructuredTool.from_function(lambda n: n, name="opened", description="Open.", args_schema=Open)
    named = StructuredTool.from_function(by_args, name="named", description="Args.", args_schema=WithArgs)
    configured = StructuredTool.from_function(by_config, name="configured", description="Config.")
    for made in (opened, named, configured):
        assert direct_call(made) is None, made.name
    schema = create_model("Plain", n=(int, ...))
    plain = StructuredTool.from_function(lambda n: n, name="plain", description="Plain.", args_schema=schema)
    assert direct_call(plain) is not None
