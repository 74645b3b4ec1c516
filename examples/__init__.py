"""Sample agents: `countersign serve --agents examples.refund_agent:agent`."""
