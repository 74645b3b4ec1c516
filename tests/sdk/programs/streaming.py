"""Events as they happen, with the decision inside the loop. `agent` and the message are the caller's."""
# ruff: noqa: F821, T201

from agent_runtime import stream

agent_stream = stream(agent, customer_message)
for event in agent_stream:
    if event.type == "tool_call":
        print(f"calling {event.tool_name}")
    elif event.type == "waiting":
        print("waiting for approval")
        agent_stream.approve()
    elif event.type == "done":
        print(event.output["result"])
        break
