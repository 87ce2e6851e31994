"""The README's programs run, as they stand there."""

import json
import logging
import re
import shlex
from pathlib import Path

import pytest
from langchain_core.tools import tool
from support.repository import ROOT

from agentkit.testing import CohereServer, ScriptedChat, reply

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"<!-- test: (\w+) -->\n```python\n(.*?)```", README, re.DOTALL))


@tool(description="Gives x back.")
def my_tool(x: int) -> int:
    return x


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with the examples beside it, as in a checkout, so that databases land nowhere else."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


def test_every_program_is_tested():
    assert README.count("```python") == len(PROGRAMS)
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert set(PROGRAMS) <= tested


def test_the_toml_is_a_file_of_patterns_and_its_command_says_what_the_text_says(here, capsys):
    from agentkit.cli.app import main

    (content,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    Path("codes.toml").write_text(content, encoding="utf-8")
    (command,) = re.findall(r"^    agentkit (.*--toml codes.toml)$", README, re.MULTILINE)
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(command))
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert [found["value"] for found in printed["matches"]] == ["ORD-000123"]
    assert [miss["raw"] for miss in printed["near_misses"]] == ["ORD-0001234"]


def run(name, **given):
    names = dict(given)
    exec(compile(PROGRAMS[name], f"README.md: {name}", "exec"), names)
    return names


def test_first(here, monkeypatch, capsys):
    assert len(PROGRAMS["first"].strip().splitlines()) <= 8
    question = "Which codes are in: look for GLCMS004AGTCAMIS, please?"
    script = [reply(calls=[("regex_extractor", {"user_query": question})]), "One: GLCMS004AGTCAMIS."]
    with CohereServer(script) as server:
        monkeypatch.setenv("COHERE_API_KEY", "test-key")
        monkeypatch.setenv("CO_API_URL", server.url)
        turn = run("first")["turn"]
    assert capsys.readouterr().out == "One: GLCMS004AGTCAMIS.\n"
    assert turn.steps[0].observation == '{"objref": ["GLCMS004AGTCAMIS"]}'


def test_options(monkeypatch):
    monkeypatch.setenv("COHERE_API_KEY", "test-key")
    with CohereServer([reply(status=503, headers={"Retry-After": "0"}), "fine"]) as server:
        monkeypatch.setenv("CO_API_URL", server.url)
        assert run("options")["agent"].run("go").output == "fine"
        assert server.requests[0].body["seed"] == 7


def test_logging(caplog):
    from agentkit import Agent

    level = logging.getLogger("agentkit").level
    try:
        run("logging", agent=Agent(model=ScriptedChat(["[]"])))
    finally:
        logging.getLogger("agentkit").setLevel(level)
    started, finished = [record.getMessage() for record in caplog.records]
    assert started == "turn started: session=s3"
    assert finished.startswith("turn finished: session=s3 number=0 stop=answered steps=0 model_calls=1 ")


def test_approval(here, capsys):
    @tool(description="Pays.")
    def pay(to: str, amount: int) -> str:
        raise AssertionError("it was refused")

    script = [reply(calls=[("pay", {"to": "Ada", "amount": 500})]), "I may not."]
    names = run("approval", chat_model=ScriptedChat(script), pay=pay)
    names["agent"].memory.close()
    assert capsys.readouterr().out == "pay {'to': 'Ada', 'amount': 500}\n"
    assert names["turn"].output == "I may not."
    assert names["turn"].steps[0].observation == "pay was not called: it was refused: over the budget."


def test_hooks(capsys):
    @tool(description="Sends.")
    def send(to: str) -> str:
        return "sent, the password is hunter2"

    script = [reply(calls=[("send", {"to": "a@b.org"}), ("send", {"to": "a@example.com"})]), "Done."]
    turn = run("hooks", chat_model=ScriptedChat(script), send=send)["agent"].run("go")
    assert [step.observation for step in turn.steps] == [
        "send was not called: it was refused: mail goes to example.com only.",
        "sent, the password is [password]",
    ]
    assert capsys.readouterr().out == "0.0\n"


def test_resume(here):
    from agentkit import Agent, ModelError
    from agentkit.memory import Memory

    with Memory("agentkit.db") as memory, pytest.raises(ModelError):
        broken = ScriptedChat([reply(calls=[("my_tool", {"x": 1})]), ModelError("gone")])
        Agent(model=broken, tools=[my_tool], memory=memory).run("go", session="s1")
    names = run("resume", my_tool=my_tool, chat_model=ScriptedChat(["One."]))
    names["agent"].memory.close()
    assert (names["turn"].output, [step.observation for step in names["turn"].steps]) == ("One.", ["1"])


def test_invoke():
    from agentkit import Agent

    response = run("invoke", agent=Agent(model=ScriptedChat(["[]"])))["response"]
    assert (response["output"], response["intermediate_steps"]) == ("[]", [])


def test_stream(capsys):
    from agentkit import Agent

    script = [reply(calls=[("my_tool", {"x": 1})]), reply("One.", usage=(10, 2))]
    run("stream", agent=Agent(model=ScriptedChat(script), tools=[my_tool]))
    assert capsys.readouterr().out == "[my_tool: 1]\nOne.\n12 tokens\n"


def test_output():
    names = run("output", chat_model=ScriptedChat(['{"objref": ["GLCMS004AGTCAMIS"]}']))
    assert names["request"] == names["Request"](objref=["GLCMS004AGTCAMIS"])


def test_policy():
    from agentkit import policy_of

    agent = run("policy", my_tool=my_tool, chat_model=ScriptedChat([]))["agent"]
    assert policy_of(agent.tools[0]).timeout_s == 300


def test_extractor(here, capsys):
    extractor = run("extractor")["extractor"]
    assert extractor.values("ref GLPNT0005GUJOGGE") == {"objref": ["GLPNT0005GUJOGGE"]}
    assert "found           objref: 'GLPNT0005GUJOGGE'" in capsys.readouterr().out
    (match,) = extractor.extract("ref GLPNT0005GUJOGGE")
    assert (match.parameter, match.start, match.end) == ("objref", 4, 20)
    assert extractor.values("ref GLPNT0005GUJOGGEXXXX") == {}
    assert extractor.near_misses("ref GLPNT0005GUJOGGEXXXX")


def test_patterns(here):
    extractor = run("patterns")["extractor"]
    assert extractor.values("ORD-000123: 1.234,50 € by 2024-12-31, not ORD-000000 or ORD-000123-7") == {
        "order": ["ORD-000123"],
        "amount": ["EUR 1234.50"],
        "date_iso": ["2024-12-31"],
    }


def test_requests(here):
    names = run("requests")
    made = names["builder"].complete(names["question"], '{"taxonomies": ["cars"]}')
    assert list(map(repr, made)) == [
        "ObjrefRequest(objref=['GLPNT0005GUJOGGE'], page=0, size=10)",
        "TaxonomiesRequest(taxonomies=['CARS'], page=0, size=10)",
    ]


def test_prefetch(here):
    from agentkit.tools import RegexExtractor

    extractor = RegexExtractor.from_toml("examples/product_codes.toml")
    chat = ScriptedChat(['{"objref": ["GLBRL0000GACHALE"]}'])
    turn = run("prefetch", extractor=extractor, chat_model=chat)["turn"]
    assert (turn.usage.model_calls, turn.steps[0].round) == (1, 0)
    chat.assert_all_used()


def test_interpreter(here, capsys):
    run("interpreter")
    assert capsys.readouterr().out == "12\n"


def test_memory(here, capsys):
    from agentkit import Turn
    from agentkit.memory import Memory

    with Memory("agentkit.db") as memory:
        memory.append("s1", Turn(input="the question", output="the answer"))
    run("memory")["memory"].close()
    assert "the question" in capsys.readouterr().out


def turns_with_an_order(memory):
    from agentkit import Step, Turn

    found = Step(tool="find", tool_input={"name": "Ada"}, observation='{"order_id": "ORD-4471"}')
    asked = Step(tool="track", tool_input={"order_id": "ORD-4471"}, observation="on its way")
    memory.append("s1", Turn(input="what did Ada order?", steps=(found,), output="a lamp"))
    memory.append("s1", Turn(input="where is it?", steps=(asked,), output="on its way"))


def test_memory_search(here, capsys):
    from agentkit import Turn
    from agentkit.memory import Memory

    with Memory("agentkit.db") as memory:
        turns_with_an_order(memory)
        memory.append("old", Turn(input="the question", output="the answer"))
    names = run("memory_search")
    assert "t1.s1 find" in capsys.readouterr().out
    assert [info.name for info in names["memory"].sessions()] == ["s1"]
    assert Path("backup.jsonl").is_file()
    names["memory"].close()


def test_memory_eval(here, capsys):
    from agentkit.memory import Memory

    with Memory("agentkit.db") as memory:
        turns_with_an_order(memory)
        memory.export("backup.jsonl")
    run("memory_eval")
    assert "agentkit" in capsys.readouterr().out
    assert Path("recall.png").read_bytes().startswith(b"\x89PNG")


def test_testing():
    assert run("testing", my_tool=my_tool)["turn"].output == "It is 1."
