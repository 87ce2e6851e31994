"""A LangChain chain of your own, with this memory instead of a list of messages.

A tool was called twenty turns ago. The number that the model needs now is only in that tool's result, which a chat
history of questions and answers does not hold. No key is needed: the replies are scripted.

    python examples/langchain_history.py
"""

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

from agentkit.memory import AugmentedChatMessageHistory, Memory
from agentkit.testing import ScriptedChat

PROMPT = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
CALL = {"name": "find_order", "args": {"customer": "Anna"}, "id": "c1", "type": "tool_call"}
RESULT = '{"order_id": "ORD-4471", "status": "sent"}'


def answer(messages: list) -> str:
    """Play the model: it knows only what it is shown."""
    return "It is ORD-4471." if "ORD-4471" in str(messages) else "I do not know."


def main() -> None:
    with Memory() as memory:
        # Also what RunnableWithMessageHistory takes: lambda session_id: AugmentedChatMessageHistory(memory, session_id)
        history = AugmentedChatMessageHistory(memory, "anna", max_tokens=2000)
        history.add_messages(
            [
                HumanMessage("Where is Anna's order?"),
                AIMessage("I will look.", tool_calls=[CALL]),
                ToolMessage(RESULT, tool_call_id="c1", name="find_order"),
                AIMessage("It is on its way."),
            ]
        )
        for n in range(20):
            history.add_messages([HumanMessage(f"Small talk {n}?"), AIMessage(f"Small answer {n}.")])

        chain = PROMPT | ScriptedChat([answer])
        question = "What is the number of Anna's order?"
        reply = chain.invoke({"history": history.messages, "question": question})
        print(f"User: {question}\nModel: {reply.text}")
        print(f"Found by search: {memory.search('anna', 'order_id')[0]}")
        history.add_messages([HumanMessage(question), reply])


if __name__ == "__main__":
    main()
