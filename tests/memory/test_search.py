import hashlib
import re

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.tools import tool

from agentkit import Agent, ConfigError, InputError, ModelError, Observation, SessionError, Step, Turn
from agentkit.memory import Hit, Memory, RecallTool
from agentkit.memory.recall import PAGE_CHARS
from agentkit.memory.store.search_text import phrases, snippet, words
from agentkit.testing import ScriptedChat, reply


def turn(question: str, answer: str = "", *results: str, ok: bool = True) -> Turn:
    return Turn(input=question, output=answer, steps=tuple(Step(tool="look", observation=r, ok=ok) for r in results))


def found(memory: Memory, query: str, **options) -> list[str]:
    return [hit.reference for hit in memory.search("s", query, **options)]


# --- words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Order ORD-4471, please!", ["order", "ord", "4471", "please"]),
        ("Zoë's Straße", ["zoe", "s", "strasse"]),
        ("max_tokens=3.5", ["max", "tokens", "3", "5"]),
        ("東京 tower", ["東", "京", "tower"]),
        ("x" * 100, ["x" * 64]),
        (" \x00\ud800-- ", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_a_word_that_falls_apart_is_a_phrase():
    assert phrases("ORD-4471 the the") == [("ord", "4471"), ("the",)]


def test_a_snippet_shows_where_most_of_the_words_are():
    text = "code " + "filler " * 200 + "the secret code is here " + "filler " * 200
    shown = snippet(text, "secret code")
    assert shown.startswith("…filler")
    assert "the secret code is here" in shown
    assert len(shown) <= 242
    assert snippet("nothing\nof it", "else") == "nothing of it"


def test_search_finds_questions_answers_inputs_and_whole_results(memory):
    long = "padding " * 500 + "the code is XK-9917-B " + "padding " * 500
    cut = Step(tool="look", observation="padd…", result=Observation(content=long))
    memory.append("s", Turn(input="Where is Zoë?", output="In Lyon.", steps=(cut,)))
    memory.append("s", Turn(input="q", steps=(Step(tool="send", tool_input={"to": "anna@example.com"}),), output="ok"))
    memory.append("another", turn("XK-9917-B"))
    assert found(memory, "zoe") == ["t1"]
    assert found(memory, "LYON") == ["t1"]
    assert found(memory, "xk-9917-b") == ["t1.s1"], "the other session is not searched"
    assert found(memory, "anna@example.com") == ["t2.s1"]
    assert found(memory, "9917-XK") == []
    (hit,) = memory.search("s", "XK-9917-B")
    assert (hit.number, hit.tool) == (1, "look")
    assert "the code is XK-9917-B" in hit.text
    assert str(hit).startswith("t1.s1 look: ")


def test_the_best_match_comes_first(memory):
    memory.append("s", turn("the weather today"))
    memory.append("s", turn("the blue parcel and the weather"))
    memory.append("s", turn("the weather tomorrow"))
    assert found(memory, "blue parcel weather")[0] == "t2"
    assert len(found(memory, "weather", limit=2)) == 2


def test_a_text_of_many_pieces_is_one_hit(memory):
    memory.append("s", turn("q", "", "needle " + "straw " * 9000 + "needle"))
    assert found(memory, "needle") == ["t1.s1"]
    assert found(memory, "straw") == ["t1.s1"]


def test_what_is_asked_of_search(memory):
    memory.append("s", turn("hello"))
    assert found(memory, "!?") == [], "no word in it"
    assert found(memory, "\"' OR ) NEAR/ * : | & <->") == []
    with pytest.raises(SessionError, match="Did you mean 's'|1 sessions"):
        memory.search("t", "hello")
    for query, limit in (("", 5), (" ", 5), (None, 5), ("x", 0), ("x", True), ("x", 1.5)):
        with pytest.raises(InputError):
            memory.search("s", query, limit)
    with pytest.raises(InputError, match="by is 'sense'"):
        memory.search("s", "x", by="sense")
    with pytest.raises(ConfigError, match="no embeddings"):
        memory.search("s", "x", by="meaning")


def test_interrupted_turns_are_searched_and_open_ones_are_not(memory):
    running = memory.begin("s", "find the zebra")
    running.calls([Step(tool="look", tool_input={"q": "quagga"}, call_id="c", round=1, ok=False)])
    assert found(memory, "zebra") == []
    running.interrupt()
    assert found(memory, "zebra") == ["t1"]
    assert found(memory, "quagga") == ["t1.s1"]


# --- meaning -----------------------------------------------------------------------------------------------------

SENSES = {"car": "vehicle", "automobile": "vehicle", "truck": "vehicle", "dog": "animal", "hound": "animal"}


class Senses(Embeddings):
    """Words of one sense have one vector: what a real model does, small enough to see through."""

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.model = "senses-1"
        self.broken = False

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.broken:
            raise OSError("no network")
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        if self.broken:
            raise OSError("no network")
        return self._vector(text)

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * 64
        for word in re.findall(r"\w+", text.lower()):
            vector[int(hashlib.md5((SENSES.get(word) or word).encode()).hexdigest(), 16) % 64] += 1
        return vector


@pytest.mark.parametrize("memory_place", ["file", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_search_by_meaning(memory_place):
    with Memory(memory_place) as before:
        before.append("s", turn("where is my automobile"))
        before.append("s", turn("feed the hound", "done", "x" * 2500 + " a truck"))
    senses = Senses()
    with Memory(memory_place, embeddings=senses) as memory:
        assert found(memory, "car", by="words") == []
        assert set(found(memory, "car", by="meaning")[:2]) == {"t1", "t2.s1"}, (
            "also what was stored before there were embeddings"
        )
        assert found(memory, "dog", by="meaning")[0] == "t2"
        assert len(senses.embedded) == 2 + 3, "a long text in pieces"
        memory.append("s", turn("a truck"))
        assert set(found(memory, "car", by="meaning")[:3]) == {"t1", "t2.s1", "t3"}
        assert len(senses.embedded) == 6, "each text once"
        assert found(memory, "hound")[0] == "t2"
    with Memory(memory_place, embeddings=(other := Senses())) as memory:
        assert found(memory, "car")[0] in ("t1", "t2.s1", "t3")
        assert other.embedded == [], "vectors are stored"
        other.model = "senses-2"
        found(memory, "car")
        assert len(other.embedded) == 6, "vectors of two models are never compared"


def test_embeddings_that_fail(memory):
    broken = Senses()
    broken.broken = True
    memory._embeddings = broken
    memory.append("s", turn("a blue car"))
    with pytest.raises(ModelError, match=r"embeddings \(Senses\) failed: OSError: no network. Search with by='words'"):
        memory.search("s", "car")
    assert found(memory, "car", by="words") == ["t1"]
    assert "t1: a blue car" in recall(memory, search="car"), "the tool does without them"


# --- recall ------------------------------------------------------------------------------------------------------


def recall(memory: Memory, session: str = "s", **arguments) -> str:
    tool = memory.recall_tool()
    assert isinstance(tool, RecallTool)
    return str(tool.invoke(arguments, {"configurable": {"session": session}}))


def test_recall_opens_a_step_and_a_turn(memory):
    step = Step(tool="look", tool_input={"q": "a"}, observation="sh…", result=Observation(content="short and whole"))
    failed = Step(tool="send", observation="refused: no such user", ok=False)
    memory.append("s", Turn(input="Find a", output="Found.", steps=(step, failed)))
    opened = '[t1.s1] look {"q": "a"}\nshort and whole'
    for reference in ("t1.s1", " T1.S1 ", "[t1.s1]", "1.1", "t1 s1", "turn 1 step 1"):
        assert recall(memory, reference=reference) == opened
    assert recall(memory, reference="t1.s2") == "[t1.s2] send (failed)\nrefused: no such user"
    whole = '[t1]\nQuestion: Find a\nt1.s1 look {"q": "a"} -> 15 characters\n'
    whole += "t1.s2 send -> failed: refused: no such user\nAnswer: Found."
    assert recall(memory, reference="t1") == whole


def test_recall_pages_long_observations_and_loses_nothing(memory):
    text = "\n".join(f"row {i}: {'x' * (i % 90)}" for i in range(400))
    memory.append("s", turn("q", "a", text))
    first = recall(memory, reference="t1.s1")
    head = re.search(r"page 1 of (\d+) \(go on with page=2\)", first)
    assert head is not None
    pages = int(head[1])
    assert pages == len(text) // (PAGE_CHARS * 0.9) + 1
    opened = [recall(memory, reference="t1.s1", page=n) for n in range(1, pages + 1)]
    assert all(len(page) <= PAGE_CHARS + 80 for page in opened)
    assert "\n".join(page.partition("\n")[2] for page in opened) == text
    assert opened[-1].startswith(f"[t1.s1] look, page {pages} of {pages}\n")


def test_a_long_input_is_shown_as_text(memory):
    code = "\n".join(f"x{i} = {i}" for i in range(60))
    memory.append("s", Turn(input="q", steps=(Step(tool="python", tool_input={"code": code}, observation="59"),)))
    opened = recall(memory, reference="t1.s1")
    assert opened.startswith("[t1.s1] python\nInput:\ncode: x0 = 0\nx1 = 1\n")
    assert opened.endswith("Result:\n59")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Give a reference or words to search for. The earlier turns are t1 to t2."),
        ({"reference": "the first"}, "'the first' is no reference: write t3 for turn 3 or t3.s2 for its step 2."),
        ({"reference": "t9"}, "There is no earlier turn 9. The earlier turns are t1 to t2."),
        ({"reference": "t0.s1"}, "There is no earlier turn 0."),
        ({"reference": "t1.s3"}, "Turn 1 has no step 3: it has 2 (t1.s1 to t1.s2)."),
        ({"reference": "t2.s1"}, "Turn 2 has no step 1: no tool was called in it."),
        ({"reference": "t1.s1", "page": 2}, "t1.s1 has 1 page: give a page from 1 to 1, not 2."),
        ({"reference": "t1.s1", "page": 0}, "t1.s1 has 1 page"),
        ({"search": "nothing like it"}, "Nothing in the earlier turns matches 'nothing like it'. Try other"),
    ],
)
def test_recall_says_what_is_wrong(memory, arguments, said):
    memory.append("s", turn("Find a", "Found.", "one", "two"))
    memory.append("s", turn("Thanks", "You are welcome."))
    assert said in recall(memory, **arguments)


def test_recall_in_a_session_without_turns(memory):
    for arguments in ({}, {"reference": "t1"}, {"search": "x"}):
        assert "There are no earlier turns." in recall(memory, **arguments)


def test_recall_needs_a_session(memory):
    said = str(memory.recall_tool().invoke({"reference": "t1"}))
    assert 'It belongs in config["configurable"]["session"]' in said


def test_recall_is_offered_only_where_something_is_left_out(memory):
    assert memory.recall_tool("s", memory.replay("s")) is None, "an empty session"
    memory.append("s", turn("hello", "hi", '{"name": "Zoe", "list": [1, 2.5]}'))
    replayed = memory.replay("s")
    assert memory.recall_tool("s", replayed) is None, "every value stands in the replay"
    assert memory.recall_tool("s", replayed[:1]) is not None
    memory.append("s", turn("and now", "done", "row\n" * 400 + "the end"))
    assert memory.recall_tool("s", memory.replay("s")) is not None


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        ({"name": 'the "big" one', "size": 3.0, "tags": ["a\\b", None, True]}, False),
        ({"code": "a = 1\nb = 2"}, False),
        ({"edits": [{"old": "a\n  b"}]}, False),
        ({"name": "word " * 200}, False),
        ({"name": "word " * 2000}, True),
        ({"rows": list(range(10_000))}, True),
    ],
)
def test_recall_is_offered_where_a_part_of_a_call_is_left_out(memory, arguments, offered):
    step = Step(tool="make", tool_input=arguments, observation="made")
    memory.append("s", Turn(input="Make it", steps=(step,), output="It is made."))
    assert (memory.recall_tool("s", memory.replay("s")) is not None) is offered


@tool
def look(q: str) -> str:
    """Look something up."""
    return "row of the table\n" * 500 + f"the code of {q} is XK-9917-B\n" + "row of the table\n" * 500


def test_an_agent_offers_recall_and_the_model_finds_what_only_an_observation_held(memory):
    model = ScriptedChat(
        [
            reply(plan="I will look.", calls=[("look", {"q": "it"})]),
            "I looked.",
            reply(plan="I will search.", calls=[("recall", {"search": "code"})]),
            "It is XK-9917-B.",
        ]
    )
    agent = Agent(model=model, tools=[look], memory=memory)
    agent.run("Look it up.", session="s")
    found = agent.run("What was the code?", session="s")
    offered = [list(request.tools) for request in model.requests]
    assert offered == [["look"], ["look"], ["look", "recall"], ["look", "recall"]]
    (step,) = found.steps
    assert step.ok
    assert "t1.s1 look: " in step.observation
    assert "the code of it is XK-9917-B" in step.observation
    assert [t.name for t in agent.tools] == ["look"]
    hits: list[Hit] = memory.search("s", "XK-9917-B")
    assert {hit.tool for hit in hits} == {"look", ""}, "what recall showed is not found again"


def test_a_users_own_history_is_offered_no_recall(memory):
    model = ScriptedChat([reply(calls=[("look", {"q": "it"})]), "I looked.", "Yes."])
    agent = Agent(model=model, tools=[look], memory=memory)
    agent.run("Look it up.", session="s")
    agent.invoke({"input": "And?", "chat_history": [("human", "a"), ("ai", "b")]}, {"configurable": {"session": "s"}})
    assert model.requests[-1].tools == ("look",)
