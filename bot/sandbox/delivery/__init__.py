"""How events, interactions and commands reach the app: Socket Mode or signed HTTP requests."""
