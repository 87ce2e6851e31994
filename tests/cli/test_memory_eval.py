"""`agentkit memory eval` on exported sessions."""

from agentkit import Step, Turn
from agentkit.memory import Memory


def test_memory_eval_measures_exported_sessions(cli, folder):
    find = Step(tool="find", tool_input={"name": "Ann"}, observation='{"order": "A-4471"}')
    refund = Step(tool="refund", tool_input={"order": "A-4471"}, observation="ok")
    with Memory() as memory:
        memory.append("s", Turn(input="Find it.", steps=(find,), output="Found."))
        memory.append("s", Turn(input="Refund it.", steps=(refund,), output="Done."))
        memory.export("sessions.jsonl")
    code, out, err = cli("memory", "eval", "sessions.jsonl", "--budget", "60", "--plot", "recall.png")
    assert (code, err) == (0, "")
    recall = {name.strip(): found for line in out.splitlines() for name, _, found in [line.partition("  ")]}
    assert recall["human + AI"].split()[:2] == ["0.0", "0.0"]
    assert recall["agentkit"].split()[:2] == ["100.0", "100.0"]
    assert "agentkit at 60 tokens" in recall
    assert (folder / "recall.png").read_bytes().startswith(b"\x89PNG")
