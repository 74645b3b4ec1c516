"""The state of the workspace: people, conversations, messages, views, files. In memory, without I/O."""
