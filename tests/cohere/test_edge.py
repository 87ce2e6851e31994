"""An agent on Cohere's wire, over real HTTP: streamed or not, the turn is the same, and the first word comes first."""

import threading

import pytest
from support.run_ways import WAYS, without_durations
from support.run_ways import play as run_once
from support.tools import add

from agentkit import Agent, ModelError
from agentkit.events import CitationFound, PlanDelta, TextDelta, ThinkingDelta, ToolCallDelta, TurnFinished
from agentkit.memory import Memory
from agentkit.testing import CohereServer, cite, reply

SCRIPT = [
    reply(
        thinking="Two sums, I think.",
        plan="I will add the numbers.",
        calls=[("add", {"a": 1, "b": 2}), ("add", {"a": 30, "b": 40})],
        usage=(906, 77),
        billed=(23, 41),
    ),
    reply("The sums are 3 and 70, größer als 0.", citations=[cite("3", call=0), cite("70", call=1)], usage=(950, 12)),
]


def play(way: str, cohere_at) -> tuple[dict, list]:
    """Return the turn, without what a clock put there, and the events."""
    with CohereServer(SCRIPT) as server:
        cohere_at(server)
        turn, events = run_once(Agent(model="command-a-03-2025", tools=[add]), way, "sums?")
        server.assert_all_used()
    return without_durations(turn), events


def test_every_way_to_run_gives_the_same_turn(cohere_at):
    turns = [play(way, cohere_at)[0] for way in WAYS]
    assert turns == [turns[0]] * 4
    turn = turns[0]
    assert turn["usage"] == {"input_tokens": 1856, "output_tokens": 89, "model_calls": 2, "cost": 0.0}
    assert [step["observation"] for step in turn["steps"]] == ["3", "70"]
    assert (turn["steps"][0]["plan"], turn["steps"][0]["thinking"]) == ("I will add the numbers.", "Two sums, I think.")
    assert [citation["text"] for citation in turn["citations"]] == ["3", "70"]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_the_deltas_are_the_reply(way, cohere_at):
    _, events = play(way, cohere_at)

    def joined(kind) -> str:
        return "".join(event.text for event in events if isinstance(event, kind))

    assert joined(ThinkingDelta) == "Two sums, I think."
    assert joined(PlanDelta) == "I will add the numbers."
    assert joined(TextDelta) == "The sums are 3 and 70, größer als 0."
    pieces = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [piece.index for piece in pieces if piece.name] == [0, 1], "each call begins once"
    assert "".join(piece.arguments for piece in pieces if piece.index == 1).replace(" ", "").replace("\n", "") == (
        '{"a":30,"b":40}'
    )
    assert [event.citation.text for event in events if isinstance(event, CitationFound)] == ["3", "70"]


def test_the_first_word_is_there_before_the_server_sends_the_second(cohere_at):
    with CohereServer([reply("one two three four", event_delay_s=0.3)]) as server:
        cohere_at(server)
        finished = threading.Event()
        first = None
        for event in Agent(model="command-a-03-2025").stream("go"):
            if isinstance(event, TextDelta) and first is None:
                first = (event.text, finished.is_set())
            if isinstance(event, TurnFinished):
                finished.set()
    assert first is not None
    assert first[0] != "one two three four", "the text came in pieces"
    assert first[1] is False


def test_a_stream_cut_by_the_network_keeps_the_steps(cohere_at):
    memory = Memory()
    with CohereServer([SCRIPT[0], reply("The sums are as follows", cut_after=4), "Back again."]) as server:
        cohere_at(server)
        agent = Agent(model="command-a-03-2025", tools=[add], memory=memory)
        with pytest.raises(ModelError):
            list(agent.stream("sums?", session="s"))
        (turn,) = memory.turns("s")
        assert (turn.stop_reason, [step.observation for step in turn.steps]) == ("interrupted", ["3", "70"])
        assert agent.run("and now?", session="s").output == "Back again."


def test_an_error_at_the_end_of_a_stream_is_named(cohere_at):
    with CohereServer([reply("The su", finish="ERROR")]) as server:
        cohere_at(server)
        turn = list(Agent(model="command-a-03-2025").stream("go"))[-1].turn
    assert (turn.stop_reason, turn.output) == ("model_error", "The su")
