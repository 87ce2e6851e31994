"""A turn to store."""

from agentkit import Observation, Step, Turn

CALL = Step(tool="add", tool_input={"a": 1}, call_id="c1", round=1, plan="I will add.", ok=False)
DONE = CALL.model_copy(update={"observation": "2", "ok": True, "result": Observation(content="2", duration_s=0.5)})
TURN = Turn(input="1 + 1?", steps=(DONE,), output="2")
