"""What people see in Slack: pure functions from state to blocks."""
