"""An agent of LangChain's create_agent, with this memory as a middleware.

The code that the last question asks for is in the middle of a long tool result of an earlier turn. The model is shown
a short note of that result, and finds the code with the tool `recall`. No key is needed: the replies are scripted.

    pip install 'agentkit-cohere[langchain]'
    python examples/langchain_agent.py
"""

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from agentkit.memory import AugmentedMemoryMiddleware, Memory
from agentkit.testing import ScriptedChat, reply

REPLIES = [
    reply(plan="I will read the log.", calls=[("read_log", {"day": "Monday"})]),
    "I read it: 2001 lines.",
    reply(plan="The record shows only its beginning, so I search.", calls=[("recall", {"search": "failed code"})]),
    "The payment failed with code XK-9917-B.",
]


@tool
def read_log(day: str) -> str:
    """Read the log of a day."""
    lines = [f"{day} {n:04} ok" for n in range(2000)]
    lines.insert(1000, f"{day} payment failed with code XK-9917-B")
    return "\n".join(lines)


def main() -> None:
    with Memory() as memory:
        agent = create_agent(ScriptedChat(REPLIES), [read_log], middleware=[AugmentedMemoryMiddleware(memory)])
        config: RunnableConfig = {"configurable": {"session": "log"}}
        for question in ("Read Monday's log.", "Why did the payment fail?"):
            state = agent.invoke({"messages": [HumanMessage(question)]}, config)
            print(f"User: {question}")
            print(f"Agent: {state['messages'][-1].text}")
        print("\nWhat memory keeps of it:")
        for remembered in memory.objects("log"):
            print(remembered)


if __name__ == "__main__":
    main()
