# ruff: noqa
# fmt: off
from agent_runtime import stream
agent_stream = stream(agent, customer_message)
for event in agent_stream:
    if event.type == "tool_call":
        print(f"→ calling {event.tool_name}")
    elif event.type == "waiting":
        print("paused — waiting for approval")
        # In a real app: send notification, store execution_id, return
        agent_stream.approve() # or agent_stream.reject("reason")
    elif event.type == "done":
        print(event.output["result"]) # output is a dict: {"result": "...", "finishReason": "STOP", ...}
        break
