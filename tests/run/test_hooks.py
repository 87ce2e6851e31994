"""Hooks see everything, may change and refuse it, and cannot poison a session."""

from dataclasses import replace

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from support.run_ways import WAYS, play

from agentkit import (
    Agent,
    ConfigError,
    Edit,
    HistoryError,
    HookError,
    Hooks,
    Observation,
    Refuse,
    ToolPolicy,
    with_policy,
)
from agentkit.memory import Memory
from agentkit.testing import ScriptedChat, reply

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


@tool(description="Sends.")
def send(text: str) -> str:
    ran.append(text)
    return f"sent {text}, secret s3cr3t-word"


SEND = reply(plan="I will send.", calls=[("send", {"text": "hello"})])


def make(hooks, script=(SEND, "The secret is s3cr3t-word."), **more) -> tuple[Agent, ScriptedChat]:
    chat = ScriptedChat(list(script))
    return Agent(chat, tools=[send], hooks=hooks, **more), chat


@pytest.mark.parametrize("way", WAYS)
def test_every_hook_is_called_with_the_session(way):
    seen: list = []

    def note(kind):
        return lambda *given: seen.append((kind, given[-1])) and None

    hooks = Hooks(**{name: note(name) for name in ("before_model", "after_model", "before_tool", "after_tool")})
    turns: list = []
    agent, _ = make([hooks, Hooks(on_turn=lambda turn, session: turns.append((turn, session)))])
    turn, _ = play(agent, way)
    around = [("before_model", "s"), ("after_model", "s")]
    assert seen == [*around, ("before_tool", "s"), ("after_tool", "s"), *around]
    assert turns == [(turn, "s")]
    assert (turn.output, ran) == ("The secret is s3cr3t-word.", ["hello"])


@pytest.mark.parametrize("way", WAYS)
def test_hooks_change_messages_arguments_observations_and_the_answer(way):
    memory = Memory()

    def redact(messages, session):
        return [SystemMessage("be brief"), *(m for m in messages if m.type != "system")]

    hooks = Hooks(
        before_model=redact,
        before_tool=lambda call, session: call.model_copy(update={"arguments": {"text": call.arguments["text"] + "!"}}),
        after_tool=lambda call, seen, session: seen.model_copy(
            update={"content": seen.content.replace("s3cr3t-word", "***")}
        ),
        after_model=lambda answer, session: replace(answer, text=answer.text.replace("s3cr3t-word", "***")),
    )
    agent, chat = make(hooks, memory=memory, system="be exact")
    turn, _ = play(agent, way)
    assert ran == ["hello!"]
    assert (turn.steps[0].tool_input, turn.steps[0].observation) == ({"text": "hello!"}, "sent hello!, secret ***")
    assert turn.output == "The secret is ***."
    assert "s3cr3t-word" not in memory.turns("s")[0].model_dump_json()
    assert [r.messages[0].content for r in chat.requests] == ["be brief", "be brief"]
    assert "s3cr3t-word" not in str(chat.requests[1].messages)


@pytest.mark.parametrize("way", WAYS)
def test_hooks_refuse(way):
    never, chat = make(Hooks(before_model=lambda messages, session: Refuse("not with these words")))
    turn, _ = play(never, way)
    assert (turn.stop_reason, turn.output, chat.requests) == ("refused", "not with these words", [])
    after, _ = make(Hooks(after_model=lambda answer, session: Refuse("no plans") if answer.calls else None))
    turn, _ = play(after, way)
    assert (turn.stop_reason, turn.output, turn.steps, ran) == ("refused", "no plans", (), [])
    call, _ = make(Hooks(before_tool=lambda call, session: Refuse("no mail on Sundays")))
    turn, _ = play(call, way)
    assert (turn.stop_reason, ran) == ("answered", [])
    assert turn.steps[0].observation == "send was not called: it was refused: no mail on Sundays."
    assert turn.steps[0].result.error == "refused"


def fails(*given):
    raise ZeroDivisionError("the hook's own")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["before_model", "after_model", "before_tool", "after_tool", "on_turn"])
def test_a_hook_that_raises_is_named_and_the_session_goes_on(way, kind):
    memory = Memory()
    agent, _ = make(Hooks(**{kind: fails}), memory=memory)
    with pytest.raises(HookError, match=rf"The hook {kind} \(fails\) raised ZeroDivisionError: the hook's own"):
        play(agent, way)
    (turn,) = memory.turns("s")
    assert turn.stop_reason == ("answered" if kind == "on_turn" else "interrupted")
    if kind == "after_tool":
        assert ran == ["hello"]
        assert "send has run, but its result could not be shown" in turn.steps[0].observation
        assert "s3cr3t-word" not in turn.model_dump_json(), "what the hook was to take out is not stored"
    healthy = Agent(ScriptedChat(["fine"]), tools=[send], memory=memory)
    if kind == "on_turn":
        assert healthy.run("and now?", session="s").number == 2
    else:
        assert healthy.resume("s").output == "fine"
        assert ran == (["hello"] if kind == "after_tool" else [])


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        (Hooks(before_model=lambda messages, session: "hello"), "returned 'hello': return a list of messages"),
        (Hooks(after_model=lambda reply, session: "hello"), "returned 'hello': return a Reply"),
        (Hooks(before_tool=lambda call, session: {}), "returned {}: return the same call"),
        (
            Hooks(before_tool=lambda call, session: call.model_copy(update={"name": "other"})),
            "return the same call, perhaps with other arguments",
        ),
        (Hooks(after_tool=lambda call, seen, session: "x"), "returned 'x': return an Observation"),
    ],
)
def test_what_a_hook_must_not_return(hooks, said):
    with pytest.raises(HookError, match=said):
        make(hooks)[0].run("go")


def test_messages_that_could_not_be_sent_are_not():
    agent, chat = make(Hooks(before_model=lambda messages, session: [HumanMessage("")]))
    with pytest.raises(HistoryError, match="empty human message"):
        agent.run("go")
    assert chat.requests == []


def test_what_cannot_be_a_hook():
    async def slow(call, session):
        return None

    with pytest.raises(ConfigError, match=r"Hooks\(before_tool=.*give a plain function"):
        Hooks(before_tool=slow)
    with pytest.raises(ConfigError, match="hooks is 7"):
        make(7)


def test_hooks_see_a_call_before_the_person_and_again_once_it_was_edited():
    seen: list = []

    def before(call, session):
        seen.append(call.arguments["text"])
        if "rm" in call.arguments["text"]:
            return Refuse("no rm")
        return call.model_copy(update={"arguments": {"text": call.arguments["text"].strip()}})

    asked: list = []
    script = [reply(calls=[("send", {"text": " hello "}), ("send", {"text": "rm -rf"})]), "Done."]
    agent = Agent(
        ScriptedChat(script),
        tools=[with_policy(send, ToolPolicy(approval=True))],
        hooks=Hooks(before_tool=before),
        approve=lambda call: asked.append(call.arguments) or Edit({"text": "rm all"}),
    )
    turn = agent.run("go")
    assert asked == [{"text": "hello"}], "what is approved is what would run"
    assert (seen, ran) == ([" hello ", "rm all", "rm -rf"], [])
    assert [s.result.error for s in turn.steps] == ["refused", "refused"]


def test_hooks_are_called_in_order_each_on_what_the_one_before_made():
    def add(mark):
        return Hooks(
            after_tool=lambda call, seen, session: Observation(content=seen.content + mark),
            after_model=lambda answer, session: replace(answer, text=answer.text + mark) if answer.text else None,
        )

    turn = make([add("1"), add("2")])[0].run("go")
    assert (turn.steps[0].observation[-2:], turn.output[-2:]) == ("12", "12")


def test_a_hook_may_drop_a_call():
    def first_only(answer, session):
        return replace(answer, calls=answer.calls[:1])

    chat = ScriptedChat([reply(calls=[("send", {"text": "a"}), ("send", {"text": "b"})]), "Done."])
    turn = Agent(chat, tools=[send], hooks=Hooks(after_model=first_only)).run("go")
    assert (ran, len(turn.steps)) == (["a"], 1)
    assert len(chat.requests[1].messages[1].tool_calls) == 1


def test_what_a_hook_changes_in_place_changes_nothing():
    def meddle(messages, session):
        messages[-1].content += " MEDDLED"

    hooks = Hooks(before_model=meddle, before_tool=lambda call, session: call.arguments.__setitem__("text", "other"))
    agent, chat = make(hooks)
    turn = agent.run("go", session="s")
    assert ran == ["hello"]
    assert turn.steps[0].tool_input == {"text": "hello"}
    assert "MEDDLED" not in repr(chat.requests)


@pytest.mark.parametrize("arguments", [None, {1: 2}, "text"])
def test_a_hook_that_gives_no_arguments_leaves_the_session_readable(arguments):
    with Memory() as memory:
        hooks = Hooks(before_tool=lambda call, session: call.model_copy(update={"arguments": arguments}))
        with pytest.raises(HookError, match="before_tool"):
            make(hooks, memory=memory)[0].run("go", session="s")
        assert ran == []
        assert make((), script=["fine"], memory=memory)[0].run("again", session="s").output == "fine"
        assert [turn.stop_reason for turn in memory.turns("s")] == ["interrupted", "answered"]


def test_what_after_tool_gives_must_have_a_text():
    hooks = Hooks(after_tool=lambda call, seen, session: seen.model_copy(update={"content": None}))
    with Memory() as memory, pytest.raises(HookError, match="after_tool"):
        make(hooks, memory=memory)[0].run("go", session="s")


def test_a_refusal_whose_reason_is_no_text_is_one_all_the_same():
    agent, _ = make(Hooks(before_tool=lambda call, session: Refuse(ValueError("no mail"))))
    assert "no mail" in agent.run("go", session="s").steps[0].observation
    assert ran == []
